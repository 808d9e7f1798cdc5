"""Run files in TOML and YAML, and words of the command line, run in this process."""

import os
from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np
from typer.testing import CliRunner

from fuzzing.files import Bytes, FileTarget
from fuzzing.mutate import mutated
from fuzzing.outcome import LONGEST, SentenceError, WrongError, untidy
from lsml.cli import app

TOML = """# lsml run x
command = "solve"
threads = 1

[options]
file = "image.npy"
rule = "cg"
contrast = 10.0
tol = 0.001
max_iter = 50
out = "again.h5"

[sha256]

[versions]
lsml = "0.1.0"
"""
HOMOGENIZE = """command = "homogenize"
[options]
file = "image.npy"
tol = 0.01
max_iter = 30
stop = "predict"
discretization = "rotated"
"""
YAML = """command: solve
threads: 1
options:
  file: image.npy
  rule: moulinec
  tol: 1.0e-3
  max_iter: 40
  spacing: 1,1,0.5
sha256: {}
versions: {lsml: 0.1.0}
"""
LINES = (
    "threads = 1000000000",
    "threads = -1",
    "threads = true",
    'command = "train"',
    'command = "run"',
    'command = "data"',
    'command = "solve solve"',
    "x = 1",
    "options = 3",
    "a = " + "[" * 2000 + "]" * 2000,
    "a.b.c.d = 1",
    "n = " + "9" * 5000,
    "t = 1979-05-27T07:32:00Z",
    "f = nan",
    "f = inf",
    '"" = ""',
    '"\\u0000" = "\\u0000"',
)
INSIDE = (
    'file = "../../../etc/passwd"',
    'file = "/etc/passwd"',
    'file = ""',
    'file = "\\u0000"',
    'file = "."',
    "file = 3",
    'file = "image.npy\\n"',
    "tol = 1e-400",
    "tol = -1.0",
    "tol = nan",
    "tol = inf",
    "tol = 10" + "0" * 400,
    "tol = true",
    "max_iter = 10" + "0" * 30,
    "max_iter = -1",
    "max_iter = 1.5",
    "contrast = nan",
    "contrast = 1e308",
    "contrast = 0",
    'rule = "rln > cg"',
    'rule = ">>>"',
    'rule = "' + "cg:1 > " * 3000 + 'cg"',
    "rule = [1, 2]",
    "rule = {a = 1}",
    'weights = ["x"]',
    'weights = ["=x", "rln=../x"]',
    'weights = "x"',
    'spacing = "1,1"',
    'spacing = "a"',
    'discretization = "no"',
    'out = "../../x.h5"',
    'out = "/proc/x.h5"',
    'out = "image.npy"',
    'dataset = "a"',
    'raw = "4,3,5,u1"',
    'start = "image.npy"',
    "overwrite = true",
    "as_json = true",
    "unknown = 1",
)
YAMLS = (
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
    + "".join(
        f"{n}: &{n} [{','.join([f'*{o}'] * 9)}]\n"
        for o, n in zip("bcdefgh", "cdefghi", strict=True)
    )
    + "command: solve\noptions: {file: *i}\n",
    "!!python/object/apply:os.system [touch LSML_FUZZ_CANARY]",
    "command: !!python/name:os.system",
    "&a [*a]",
    "command: solve\noptions: &o {file: image.npy, x: *o}",
    "? [1, 2]\n: 3",
    "command: [solve]",
    "[" * 3000,
    "command: solve\nsha256: {1: 2}\noptions: {file: image.npy}",
    "command: solve\nsha256: {image.npy: 12}\noptions: {file: image.npy}",
    "command: solve\noptions: {1: 2}",
    "command: solve\noptions: {file: 2026-01-01}",
    "1: 2",
    "--- 1\n--- 2",
    "",
    "%TAG ! x",
    "command: solve\nversions: {lsml: &v [*v]}\noptions: {file: image.npy}",
)


def toml_seeds(folder: Path) -> Bytes:
    """As lsml writes them, and an image beside them."""
    labels = np.random.default_rng(3).integers(0, 2, (3, 4, 2)).astype(np.uint8)
    np.save(folder / "image.npy", labels)
    return {"solve.toml": TOML.encode(), "homogenize.toml": HOMOGENIZE.encode()}


def yaml_seeds(folder: Path) -> Bytes:
    """By hand."""
    toml_seeds(folder)
    hostile = {f"{k}.yaml": text.encode() for k, text in enumerate(YAMLS)}
    return {"solve.yaml": YAML.encode(), "solve2.yml": YAML.encode(), **hostile}


def toml_lines(rng: Random, name: str, seeds: Bytes) -> bytes:
    """Lines put in the place of others, before bytes are exchanged."""
    lines = seeds[name].decode().splitlines()
    for _ in range(rng.choice((0, 1, 1, 2))):
        inside = rng.random() < 0.7
        line = rng.choice(INSIDE if inside else LINES)
        key = line.partition(" ")[0]
        lines = [old for old in lines if not old.startswith(f"{key} ")]
        at = lines.index("[options]") + 1 if inside and "[options]" in lines else 0
        lines.insert(at, line)
    data = "\n".join(lines).encode()
    return mutated(rng, data) if rng.random() < 0.5 else data


def yaml_lines(rng: Random, name: str, seeds: Bytes) -> bytes:
    """The same with entries in TOML's words, which YAML has with a colon."""
    data = seeds[name]
    if name.startswith("solve") and rng.random() < 0.5:
        key, _, value = rng.choice(INSIDE).partition(" = ")
        data = data.replace(b"sha256", f"  {key}: {value}\nsha256".encode())
    return mutated(rng, data) if rng.random() < 0.7 else data


def job(path: Path) -> str:
    """``lsml run``."""
    return command(["-q", "run", str(path), "--overwrite"], path)


def command(words: list[str], path: Path) -> str:
    """Run it, and hold the exit status against what was said."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        ended = CliRunner().invoke(app, words)
    finally:
        os.chdir(before)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return status(ended.exit_code, ended.stdout, ended.stderr, str(path.parent))


def status(code: int, out: str, err: str, folder: str) -> str:
    """Zero or one with results, two with one sentence."""
    if "Traceback" in err + out:
        raise WrongError("a traceback")
    if code in (0, 1):
        return "solved" if code == 0 else "not converged"
    lines = [line for line in err.splitlines() if "was written by" not in line]
    lines = [line for line in lines if " is phase " not in line]
    if code != 2 or len(lines) != 1 or not lines[0].startswith("lsml: "):
        raise WrongError(f"exit status {code} and {len(lines)} lines: {lines[:2]}")
    sentence = lines[0].removeprefix("lsml: ").replace(folder, "FOLDER")
    if fault := untidy(sentence):
        raise WrongError(f"{fault}: {sentence[:LONGEST]}")
    raise SentenceError(sentence)


RUN_FILES: Mapping[str, FileTarget] = {
    "toml": FileTarget(toml_seeds, job, toml_lines),
    "yaml": FileTarget(yaml_seeds, job, yaml_lines),
}
