"""Run the blocks of a page in a process of their own and compare what they print."""

import difflib
import faulthandler
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

from pages import Block, PageError, pairs
from printed import agrees, mask

LONGEST = 600  # seconds for a page
SLOW = 5  # seconds of a block that are worth a word

# Children of a server that has imported lsml and done nothing with it: a page, or a
# command, starts at once and fresh.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["lsml", "lsml.cli", "lsml.learned", "lsml.data"])


@dataclass
class Outcome:
    """What became of a page; `edits` are outputs to put in, as (span, text)."""

    page: Path
    run: int = 0
    skipped: int = 0
    elsewhere: int = 0
    seconds: float = 0.0
    slow: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    edits: list[tuple[tuple[int, int], str]] = field(default_factory=list)


def run_page(page: Path) -> Outcome:
    """Run the blocks of a page in a fresh folder, in their order, up to an error."""
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    start, outcome = time.perf_counter(), Outcome(page)
    page = page.resolve()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+b") as log:
        os.chdir(folder)
        os.dup2(log.fileno(), 1)
        main = ModuleType("__main__")  # where classes that are pickled must be found
        sys.modules["__main__"] = main
        try:
            for block, output in pairs(page.read_text("utf-8")):
                begin = time.perf_counter()
                printed = _printed(page, block, main, outcome)
                _check(block, output, printed, outcome)
                took = time.perf_counter() - begin
                if took > SLOW:
                    outcome.slow.append(f"line {block.line} {took:.0f} s")
        except PageError as error:
            outcome.wrong.append(f"{outcome.page}: {error}")
        os.chdir("/")
    outcome.seconds = time.perf_counter() - start
    faulthandler.cancel_dump_traceback_later()
    return outcome


def _printed(page: Path, block: Block, main: ModuleType, outcome: Outcome) -> str:
    """What a block prints; nothing where it is not run."""
    if block.file:
        Path(block.file).write_text(block.body, "utf-8")
    if block.language == "python":
        code = compile("\n" * (block.line - 1) + block.body, page, "exec")
    if block.command:
        outcome.elsewhere += 1
    elif block.skipped:
        outcome.skipped += 1
    elif block.language == "python":
        outcome.run += 1
        return _python(code, main)
    elif block.language == "bash":
        outcome.run += 1
        return _shell(block)
    return ""


def _python(code: object, main: ModuleType) -> str:
    before = os.lseek(1, 0, os.SEEK_END)
    try:
        exec(code, vars(main))
    except BaseException:
        raise PageError(traceback.format_exc()) from None
    sys.stdout.flush()
    end = os.lseek(1, 0, os.SEEK_END)
    return os.pread(1, end - before, before).decode()


def _shell(block: Block) -> str:
    printed = ""
    if not block.body.startswith("lsml "):
        raise PageError(
            f"line {block.line}: only blocks of lsml commands are run;"
            " mark this one <!-- not run: reason -->."
        )
    for words, status in block.lines():
        found, text = _lsml(words[1:]) if words[0] == "lsml" else _other(words)
        if found != status:
            line = " ".join(words)
            raise PageError(f"line {block.line}: {line}: exit status {found}\n{text}")
        printed += text
    return printed


def _other(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode()


def _lsml(arguments: list[str]) -> tuple[int, str]:
    with tempfile.NamedTemporaryFile("r+b") as log:
        child = CONTEXT.Process(target=command, args=(arguments, os.getcwd(), log.name))
        child.start()
        child.join()
        return child.exitcode, log.read().decode()


def command(arguments: list[str], folder: str, log: str) -> None:
    """``python -m lsml`` with these arguments, as it would print into a file."""
    os.chdir(folder)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv = ["lsml", *arguments]
    runpy.run_module("lsml", run_name="__main__", alter_sys=True)


def _check(block: Block, output: Block | None, printed: str, outcome: Outcome) -> None:
    if output is None or agrees(output.body, printed, output.tolerance):
        return
    new = "".join(f"{line.rstrip()}\n" for line in mask(printed).splitlines())
    difference = "\n".join(
        difflib.unified_diff(
            output.body.splitlines(), new.splitlines(), "said", "printed", lineterm=""
        )
    )
    outcome.wrong.append(f"{outcome.page}, line {output.line}:\n{difference}")
    indented = "".join(output.indent + line for line in new.splitlines(keepends=True))
    outcome.edits.append((output.span, indented))
