"""The checker of the documentation: what it lets pass, and what it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / ".ci"))
pages = pytest.importorskip("pages")
printed = pytest.importorskip("printed")
sys.path.remove(str(ROOT / ".ci"))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("E 1.000 and 37 steps\n", "E 1.004 and 37 steps"),
        ("[[ 1.0 -2.0]\n [0.5  3e-07]]", "[[1.0  -2.0]\n [0.5 3.001e-7]]"),
        ("wrote … in … s\nend", "wrote a/b.h5 in 3.25 s\nend"),
        ("first\n…\nlast 2", "first\n1\n\n3\nlast 2.0"),
        ("…\nlast", "1\n2\nlast"),
        ("0.0 100.0", "3e-17 100.0"),  # round-off beside 100
        ("nan inf -inf", "nan inf -inf"),
        ("────\nrln-t-c10  5", "───────\nrln-t-c10 5"),
    ],
)
def test_what_agrees(said, shown):
    assert printed.agrees(said, shown, 0.01)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("1.000", "1.02"),
        ("1e-7", "2e-7"),
        ("1.0", "-1.0"),
        ("converged 3", "completed 3"),
        ("rln-t-c10", "rln-t-c50"),  # digits of a name are no number
        ("a … b", "a 1\n2 b"),  # … in a line does not leave it
        ("1 2", "1 2 3"),
        ("", "1"),
        ("nan", "1.0"),
        ("12", "1 2"),
    ],
)
def test_what_does_not_agree(said, shown):
    assert not printed.agrees(said, shown, 0.01)


def test_the_tolerance_is_the_one_that_the_page_states():
    text = (
        "```python\nprint(1)\n```\n\n<!-- output within 5 % -->\n```text\n1.04\n```\n"
    )
    [(_, output)] = pages.pairs(text)
    assert output.tolerance == 0.05
    assert printed.agrees(output.body, "1.0", output.tolerance)
    assert not printed.agrees(output.body, "0.98", output.tolerance)


def test_an_output_needs_a_block_and_a_skip_needs_a_reason():
    with pytest.raises(pages.PageError, match="output of which block"):
        pages.pairs("<!-- output -->\n```text\n1\n```\n")
    [(block, _)] = pages.pairs("<!-- not run -->\n```python\n1\n```\n")
    with pytest.raises(pages.PageError, match="reason"):
        _ = block.skipped


def test_commands_go_over_lines_and_may_be_said_to_fail():
    text = "```bash\nlsml a \\\n  --b 'c d'  # why\nlsml x  # exit status 2\n```\n"
    [(block, _)] = pages.pairs(text)
    assert block.lines() == [(["lsml", "a", "--b", "c d"], 0), (["lsml", "x"], 2)]


def test_a_page_that_lies_fails_and_is_written_true(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        '```toml title="a.toml"\nb = 7\n```\n'
        '1. In a list:\n\n    ```python\n    print(open("a.toml").read(), end="")\n'
        "    ```\n\n    <!-- output -->\n    ```text\n    b = 8\n    ```\n\n"
        "```bash\nlsml --version\nlsml nonsense  # exit status 2\n```\n"
    )

    def check(mode):
        words = [sys.executable, ROOT / ".ci" / "docs.py", mode, page]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    lies = check("run")
    assert lies.returncode == 1
    assert "-b = 8\n+b = 7" in lies.stdout
    assert "1 pages, 2 blocks run, 0 not run" in lies.stdout
    assert check("write").returncode == 0
    assert "    b = 7\n    ```" in page.read_text()
