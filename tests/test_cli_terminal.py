"""The command line in a terminal: words, letters, progress, completion and Ctrl-C."""

import json
import logging
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import lsml
from lsml.cli import app, complete
from lsml.cli.errors import sentence_of
from lsml.cli.interrupt import interrupts
from lsml.cli.screen import spell
from lsml.progress import CountLine, Line, ProgressLine, silenced

LABELS = np.random.default_rng(3).integers(0, 2, (5, 4, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with a label image."""
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", LABELS)
    return tmp_path


@pytest.fixture
def terminal(monkeypatch):
    """A stderr that takes itself for a terminal, and lines that do not wait."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("lsml.progress.DELAY", 0.0)


def run(command):
    return CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)


# Errors


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("solve --nope", "no such option: --nope"),
        ("solve", "missing argument 'FILE'"),
        ("solv", "no such command 'solv'. Did you mean 'solve'?"),
        ("solve image.npy --tol x", "invalid value for '--tol'"),
        ("solve image.npy --tol", "option '--tol' requires an argument"),
        ("solve image.npy other", "got unexpected extra argument"),
        ("data", ""),
        ("data generate", "missing argument 'OUT'"),
    ],
)
def test_wrong_words_are_one_sentence_and_status_two(folder, command, expected):
    result = run(command)
    assert result.exit_code == 2
    if not expected:
        assert result.stdout.startswith("Usage: ")
        return
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"lsml: {expected}")
    assert line.endswith("--help)")


def test_errors_that_say_nothing_are_named():
    assert sentence_of(MemoryError()) == "MemoryError"
    assert sentence_of(OSError(13, "Permission denied", "a.h5")) == (
        "a.h5: Permission denied"
    )
    assert sentence_of(OSError(28, "No space left")) == "No space left"
    assert sentence_of(ValueError("two\n  lines")) == "two lines"


def test_a_mistake_of_the_program_is_not_taken_for_bad_input(folder, monkeypatch):
    def fails(*_, **__):
        raise AssertionError("a bug")

    monkeypatch.setattr("lsml.api.solve", fails)
    with pytest.raises(AssertionError, match="a bug"):
        run("solve image.npy")


def test_memory_that_runs_out_is_one_sentence(folder, monkeypatch):
    def fails(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")

    monkeypatch.setattr("lsml.api.solve", fails)
    result = run("solve image.npy")
    assert result.exit_code == 2
    assert result.stderr.startswith("lsml: not enough memory: ")


def test_letters_that_a_terminal_lacks_are_spelled():
    text = "5 × 4 voxels, error ≤ 1, ε11 → σ11, 漢"
    error = None
    try:
        text.encode("ascii")
    except UnicodeEncodeError as caught:
        error = caught
    assert spell(error) == ("x", 3)
    import codecs

    codecs.register_error("test.spell", spell)
    plain = text.encode("ascii", "test.spell").decode()
    assert plain == "5 x 4 voxels, error <= 1, eps11 -> sigma11, ?"


def test_a_process_without_utf_8_and_a_pipe_that_closes(folder):
    """Tables, help and errors in ASCII; one process, as each imports torch."""
    code = (
        "import sys\n"
        "from lsml.cli import app\n"
        "for words in (['homogenize', 'image.npy'], ['solve', '-h'], ['solve', 'ε']):\n"
        "    try:\n"
        "        app(words, prog_name='lsml')\n"
        "    except SystemExit as end:\n"
        "        print('status', end.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env=os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    out = done.stdout.decode("ascii")
    assert re.findall("(?m)^status ([0-9]+)", out) == ["0", "0", "2"]
    assert "G = tau/gamma" in out
    assert "eps11" in out
    assert done.stderr == b"lsml: eps does not exist\n"


# What is said beside the result


def test_verbose_tells_and_quiet_does_not(folder):
    said = " ".join(run("-v solve image.npy").stderr.split())
    assert "ConjugateGradient: 1 samples, at most" in said
    assert run("solve image.npy").stderr == ""
    before = logging.getLogger("lsml").handlers[:], logging.getLogger("lsml").level
    run("-vv solve image.npy")
    after = logging.getLogger("lsml").handlers[:], logging.getLogger("lsml").level
    assert after == before


def test_lines_wait_are_silent_on_request_and_off_a_terminal(capsys, monkeypatch):
    """Catches lines in logs, and a flicker of lines of work that takes no time."""
    monkeypatch.setattr("lsml.progress.DELAY", 3600.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Line() as line:
        line.write("early")
    monkeypatch.setattr("lsml.progress.DELAY", 0.0)
    with silenced(), Line() as line:
        line.write("silent")
    with Line() as line:
        line.write("shown")
    monkeypatch.delenv("FORCE_COLOR")
    with Line() as line:
        line.write("piped")
    shown = capsys.readouterr()
    assert shown.out == ""
    words = [w for w in ("early", "silent", "shown", "piped") if w in shown.err]
    assert words == ["shown"]


def text_of(line):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(line)
    return capture.get().strip()


def test_a_line_tells_iteration_residual_rate_and_time_left(terminal, monkeypatch):
    """Half the digits after eight seconds: eight are left."""
    line = ProgressLine(1e-6, "cg")
    monkeypatch.setattr(ProgressLine, "seconds", 8.0)
    status = torch.tensor([0, 1])
    line(40, torch.zeros(2, 1), torch.tensor([1e-3, 1e-7]).double(), status)
    assert text_of(line) == (
        "cg  iteration 40  error 1.0e-03 → 1e-06  5.0/s  1 running  8 s left"
    )


def test_a_line_counts_from_where_it_began(terminal, monkeypatch):
    """Two of eight in six seconds; the four before them took no time here."""
    line = CountLine("samples", 12, 4)
    monkeypatch.setattr(CountLine, "seconds", 6.0)
    line.advance(2, note="rln")
    assert text_of(line) == "6/12 samples  0.333/s  18 s left  rln"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("solve image.npy", "iteration"),
        ("homogenize image.npy", "iteration"),
        ("compare image.npy --rules cg --repeats 0 --tol 1e-3", "recording cg"),
    ],
)
@pytest.mark.usefixtures("terminal")
def test_commands_show_a_line_on_a_terminal(folder, command, expected):
    assert expected in run(command).stderr
    assert run(f"-q {command}").stderr == ""


@pytest.mark.parametrize(
    "command",
    [
        "solve image.npy --json",
        "homogenize image.npy --json",
        "compare image.npy --rules cg --repeats 0 --tol 1e-3 --json",
    ],
)
def test_json_is_all_there_is_on_stdout(folder, command):
    values = json.loads(run(f"-v {command}").stdout, parse_constant=pytest.fail)
    assert isinstance(values, dict)


# Completion


def offered(words):
    """What Bash would be offered for the last of these words."""
    environment = {
        "_LSML_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    result = CliRunner().invoke(app, [], prog_name="lsml", env=environment)
    return result.stdout.split()


def test_the_shell_completes_commands_options_and_values():
    assert {"solve", "run", "data"} <= set(offered(["lsml", ""]))
    assert offered(["lsml", "hom"]) == ["homogenize"]
    assert "--contrast" in offered(["lsml", "solve", "--con"])
    assert offered(["lsml", "solve", "--rule", "mou"]) == ["moulinec"]
    assert offered(["lsml", "solve", "--discretization", "hex"]) == [
        "hex8",
        "hex8-bbar",
    ]
    assert offered(["lsml", "solve", "--weights", "rln-t"]) == [
        "rln-t-c10",
        "rln-t-c50",
    ]
    assert "generate" in offered(["lsml", "data", ""])


def test_the_last_of_several_names_is_completed():
    assert complete.rules("cg,mou") == ["cg,moulinec"]
    assert complete.rule("rln-t:3 > c") == ["rln-t:3 > cg", "rln-t:3 > chebyshev"]
    assert complete.weights("rln=rln-c1") == ["rln=rln-c10"]
    assert set(complete.rule("")) == {*lsml.inputs.RULES, *lsml.learned.loading.NAMES}


def test_completion_can_be_shown_for_a_shell():
    result = CliRunner().invoke(app, ["--show-completion", "bash"], prog_name="lsml")
    assert result.exit_code == 0
    assert "_LSML_COMPLETE=complete_bash" in result.stdout


# Ctrl-C


class Pressed:
    """An observer that ends a solve at one iterate."""

    def __init__(self, last):
        self.last = last

    def __call__(self, k, x, error, status):
        return k >= self.last


@pytest.mark.parametrize("rule", ["cg", "moulinec"])
def test_an_observer_ends_a_solve_with_the_iterate_that_it_saw(rule):
    """As max_iter there would, but for the name; those that are done stay done."""
    labels = np.stack([LABELS, np.zeros_like(LABELS)])
    stopped = lsml.solve(labels, rule, observe=Pressed(4), throw=False)
    limited = lsml.solve(labels, rule, max_iter=4, throw=False)
    names = [lsml.Status(c).name for c in stopped.status.tolist()]
    assert names == ["INTERRUPTED", "CONVERGED"]
    assert torch.equal(stopped.strain, limited.strain)
    assert torch.equal(stopped.error, limited.error)
    assert stopped.iterations.tolist() == [4, 0]
    with pytest.raises(lsml.ConvergenceError, match="INTERRUPTED"):
        lsml.solve(labels, rule, observe=Pressed(4))


def test_an_observer_that_sees_the_end_changes_nothing():
    solution = lsml.solve(LABELS, observe=lambda *_: None)
    assert torch.equal(solution.strain, lsml.solve(LABELS).strain)
    late = lsml.solve(LABELS, observe=Pressed(int(solution.iterations[0])))
    assert late.converged.all()


def test_recycling_ends_in_all_its_waves():
    effective = lsml.homogenize(
        LABELS, lsml.Recycled(), observe=lambda *_: True, throw=False
    )
    assert effective.iterations.tolist() == [[0] * 6]
    assert (effective.solution.status == lsml.Status.INTERRUPTED).all()
    exact = lsml.homogenize(LABELS)
    assert (effective.lower <= exact.upper).all()
    assert (exact.lower <= effective.upper).all()


def press(after):
    """A Ctrl-C that comes while a solve is at its iterate ``after``."""
    seen = []

    def solve(*args, observe, **options):
        def watch(k, *rest):
            seen.append(k)
            if k == after:
                os.kill(os.getpid(), signal.SIGINT)
            return observe(k, *rest)

        return TRUE(*args, observe=watch, **options)

    return solve


TRUE = lsml.api.solve


def test_an_interrupted_solve_is_saved_and_gone_on_with(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("lsml.api.solve", press(7))
        result = run("solve image.npy --contrast 100 --tol 1e-8 --out half.h5")
    assert result.exit_code == 130
    (line,) = result.stderr.splitlines()
    assert "INTERRUPTED after 7 iterations" in line
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with h5py.File("half.h5") as file:
        assert file["status"][()].tolist() == [lsml.Status.INTERRUPTED]
    assert Path("half.job.toml").exists()
    more = run("solve image.npy --contrast 100 --tol 1e-8 --start half.h5 --out all.h5")
    assert more.exit_code == 0
    with h5py.File("all.h5") as file, h5py.File("half.h5") as half:
        assert file["history"][0, 0] == pytest.approx(half["history"][0, -1], rel=1e-6)
        strain = file["strain"][()]
    whole = lsml.solve(LABELS, contrast=100, tol=1e-8).strain.numpy()
    assert np.abs(strain - whole).max() < 1e-6 * np.abs(whole).max()


@pytest.mark.parametrize("scheme", ["fourier", "hex8", "hex8-bbar", "staggered"])
def test_a_start_loses_nothing_between_the_points(folder, scheme):
    """Catches a start from voxel averages, which hex8 does not follow from."""
    options = f"--discretization {scheme} --tol 1e-7"
    assert run(f"solve image.npy {options} --out done.h5").exit_code == 0
    values = json.loads(run(f"solve image.npy {options} --start done.h5 --json").stdout)
    assert values["iterations"] == [0]


def test_a_start_of_something_else_is_refused(folder):
    np.save("other.npy", LABELS[:4])
    Path("text.h5").write_text("nothing of the kind")
    with h5py.File("empty.h5", "w"):
        pass
    assert run("solve other.npy --out other.h5").exit_code == 0
    for start, expected in (
        ("none.h5", "none.h5 does not exist"),
        ("text.h5", "text.h5 is no result of lsml solve"),
        ("empty.h5", "must be HDF5 with displacement and mean_strain"),
        ("other.h5", "displacement of shape (1, 3, 4, 4, 3); this image needs"),
    ):
        result = run(f"solve image.npy --start {start}")
        assert result.exit_code == 2
        assert expected in result.stderr


def test_a_second_ctrl_c_ends_at_once():
    with interrupts() as interrupt:
        assert not interrupt()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_comparison_keeps_what_is_done(folder, monkeypatch):
    """The first rule is whole; the second, interrupted in its course, says so."""
    seen = []

    def watch(doing):
        seen.append(doing)
        return seen.count("recording moulinec") > 3

    found = lsml.compare(LABELS, ["cg", "moulinec", "born"], tol=1e-4, observe=watch)
    first, second, third = found.trials
    assert first.status == ("CONVERGED",)
    assert second.status == ("INTERRUPTED",)
    assert "interrupted" in third.refusal
    assert not any(doing.startswith("timing born") for doing in seen)
    assert json.loads(found.to_json())


def test_a_process_that_is_interrupted_saves_what_it_has(folder):
    """A real signal, sent when the progress line is there: after two seconds."""
    large = np.random.default_rng(1).integers(0, 2, (32, 32, 32)).astype(np.uint8)
    np.save("large.npy", large)
    command = (
        "solve large.npy --rule moulinec --contrast 1e5 --tol 1e-12 "
        "--max-iter 1000000 --out r.h5"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "lsml", *shlex.split(command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": "120"},
    )
    said, limit = b"", time.monotonic() + 120
    try:
        while b"iteration" not in said and time.monotonic() < limit:
            if select.select([process.stderr], [], [], 1)[0]:
                said += os.read(process.stderr.fileno(), 4096)
        assert re.search(rb"Moulinec  iteration [0-9]+  error .*/s", said)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"INTERRUPTED" in out
    assert b"lsml: sample 0: INTERRUPTED after" in err
    with h5py.File("r.h5") as file:
        assert file["status"][()].tolist() == [lsml.Status.INTERRUPTED]
        assert np.isfinite(file["strain"][()]).all()
        assert float(file["error"][0]) < 1
