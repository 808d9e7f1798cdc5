"""The fenced blocks of a Markdown page, what is said of each, and what they print."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"(?P<marks>(?:^[ ]*<!--(?:(?!-->).)*-->\s*\n)*)"
    r"^(?P<indent>[ ]*)```[ ]*(?P<language>\w*)(?P<rest>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=indent)```[ ]*$",
    re.DOTALL | re.MULTILINE,
)
SKIPPED = re.compile(r"<!--\s*(?:not run|fragment)(?::?\s*(.*?))?\s*-->", re.DOTALL)
OUTPUT = re.compile(r"<!--\s*output(?:\s+within\s+([\d.]+)\s*%)?\s*-->")
COMMAND = re.compile(r"<!--\s*command:\s*(\S+)\s*-->")
TITLE = re.compile(r"title=\"([^\"/]+)\"")
STATUS = re.compile(r"#\s*exit status (\d+)\s*$")
RUN = {"python", "bash"}


class PageError(Exception):
    """A page that cannot be run as it is written, or does not print what it says."""


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its first line of content."""

    language: str
    body: str
    line: int
    span: tuple[int, int]  # of the body in the page
    indent: str
    marks: str
    rest: str

    @property
    def skipped(self) -> bool:
        """Whether the page says that, and why, this block is not run."""
        found = SKIPPED.search(self.marks)
        if found and not found[1]:
            raise PageError(f"line {self.line}: not run, but the reason is missing.")
        return found is not None

    @property
    def command(self) -> str | None:
        """Name under which CI runs this block itself."""
        found = COMMAND.search(self.marks)
        return found[1] if found else None

    @property
    def tolerance(self) -> float | None:
        """How far numbers may be off, relatively; None for what is no output."""
        found = OUTPUT.search(self.marks)
        return None if found is None else float(found[1] or 1) / 100

    @property
    def file(self) -> str | None:
        """The file that a block of data with a title stands for."""
        found = TITLE.search(self.rest)
        return found[1] if found and self.language not in RUN else None

    def lines(self) -> list[tuple[list[str], int]]:
        """Commands of a shell block as (words, expected exit status)."""
        found = []
        for line in self.body.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                status = STATUS.search(line)
                found.append((words, int(status[1]) if status else 0))
        return found


def blocks(text: str) -> list[Block]:
    """All fenced blocks in their order."""
    return [_block(text, found) for found in FENCE.finditer(text)]


def _block(text: str, found: re.Match[str]) -> Block:
    indent = found["indent"]
    return Block(
        language=found["language"],
        body=re.sub(rf"^{indent}", "", found["body"], flags=re.MULTILINE),
        line=text.count("\n", 0, found.start("body")) + 1,
        span=found.span("body"),
        indent=indent,
        marks=found["marks"],
        rest=found["rest"],
    )


def pairs(text: str) -> list[tuple[Block, Block | None]]:
    """Blocks that are no output, each with the output that follows it."""
    paired: list[tuple[Block, Block | None]] = []
    for block in blocks(text):
        if block.tolerance is None:
            paired.append((block, None))
            continue
        if not paired or paired[-1][1] or paired[-1][0].language not in RUN:
            raise PageError(f"line {block.line}: output of which block?")
        paired[-1] = (paired[-1][0], block)
    return paired


def command(name: str, page: Path) -> str:
    """The one shell block that follows the marker of this name."""
    found = [b.body for b in blocks(page.read_text("utf-8")) if b.command == name]
    if len(found) != 1:
        raise SystemExit(f"{page} has {len(found)} blocks marked {name}; expected 1.")
    return found[0]
