"""Values of options, at the command line."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from random import Random

from fuzzing.files import Bytes, FileTarget
from fuzzing.mutate import mutated
from fuzzing.run_files import command, toml_seeds

NUMBERS = ("0", "-1", "1", "1.5", "1e-3", "nan", "inf", "-inf", "1e400", "1e-400")
NUMBERS += ("0x10", "1_0", "", " ", "ten", "9" * 40, "٣", "1,2", "--", "1e308")
TEXTS = ("", " ", "x", "../x", "/etc/passwd", "\udcff", "é" * 300, "a\nb", "=", "rln=")
TEXTS += ("image.npy", "no.npy", ".", "/", "~", "-", "--help", "%s", "{}", "\\", "\x07")
RULES = ("cg", "moulinec", "cg:3 > cg", "rln", "rln:9 > cg", "cg:0 > cg", ":", ">")
RULES += ("anderson", "auto", "born", "newton", "eyre_milton", "cg:" + "9" * 20 + ">cg")
SCHEMES = ("rotated", "hex8", "quad4", "hex8-bbar", "staggered", "fourier", "forward")
OUTS = ("r.h5", "r.vti", "r.xdmf", "r.npz", "r.json", "no/r.h5", "r", "r.png", "..")
OPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "solve": {
        "--rule": RULES,
        "--contrast": NUMBERS,
        "--discretization": SCHEMES,
        "--weights": TEXTS,
        "--tol": NUMBERS,
        "--max-iter": NUMBERS,
        "--dataset": TEXTS,
        "--out": OUTS,
        "--start": TEXTS,
        "--spacing": (*NUMBERS, "1,1,2", "1,1", "0,1,1", "1,nan,1", "1,1e300,1"),
        "--raw": ("4,3,5,uint8", "a", ""),
    },
    "homogenize": {
        "--rule": RULES,
        "--contrast": NUMBERS,
        "--discretization": SCHEMES,
        "--tol": NUMBERS,
        "--stop": ("certified", "predict", "", "x"),
        "--max-iter": NUMBERS,
        "--spacing": (*NUMBERS, "1,1,2", "2,1"),
    },
    "compare": {
        "--rules": (*RULES, "cg,moulinec", ",", "cg,,cg"),
        "--contrast": NUMBERS,
        "--tol": NUMBERS,
        "--max-iter": NUMBERS,
        "--weights": TEXTS,
    },
    "info": {"--dataset": TEXTS, "--raw": TEXTS},
    "convert": {"--group": TEXTS, "--rule": RULES, "--sample": NUMBERS},
    "report": {"--out": OUTS},
    "data info": {},
    "evaluate": {"--weights": TEXTS, "--split": TEXTS},
    "train": {"--rule": RULES, "--epochs": NUMBERS, "--seed": NUMBERS},
    "view": {"--port": ("-1", "65536", "x", ""), "--group": TEXTS},
    "run": {"--out": OUTS},
}
OFTEN = ("solve", "solve", "homogenize", "homogenize", "compare", "info")
FILES = ("image.npy", "image.npy", "image.npy", "no.npy", ".", "", "solve.toml")


def words(rng: Random, name: str, seeds: Bytes) -> bytes:
    """A command line; shell quotes keep its words apart."""
    verb = rng.choice((*OFTEN, *OPTIONS))
    said = [*verb.split(), rng.choice(FILES)]
    if verb in ("convert", "train"):
        said.append(rng.choice(OUTS))
    options = OPTIONS[verb]
    for option in rng.sample(sorted(options), min(len(options), rng.randrange(4))):
        value = rng.choice(options[option] if rng.random() < 0.8 else NUMBERS + TEXTS)
        said += [option, value]
    if verb in ("solve", "homogenize", "compare") and "--max-iter" not in said:
        said += ["--max-iter", "60"]
    if rng.random() < 0.2:
        said.append(rng.choice(("--json", "--overwrite", "--no", "-q", "-h", "x")))
    if rng.random() < 0.1:
        changed = mutated(rng, said[-1].encode("utf-8", "surrogateescape") or b"0")
        said[-1] = changed.decode("utf-8", "surrogateescape")
    line = shlex.join(word.replace("\x00", "0") for word in said)
    return line.encode("utf-8", "surrogateescape")


def typed(path: Path) -> str:
    """Run the line that the file holds."""
    line = path.read_bytes().decode("utf-8", "surrogateescape")
    return command([*shlex.split(line)], path)


def seeds(folder: Path) -> Bytes:
    """An image, and a run file that names it."""
    for name, data in toml_seeds(folder).items():
        (folder / name).write_bytes(data)
    return {"line.txt": b""}


COMMANDS: Mapping[str, FileTarget] = {"command line": FileTarget(seeds, typed, words)}
