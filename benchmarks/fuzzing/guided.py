"""The mutator of atheris (libFuzzer), led by what an input reaches in the readers.

Needs the package ``atheris``. Every function of the modules below is instrumented where
it stands, since lsml has been imported by then.
"""

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType

from fuzzing.files import Bytes

GUIDED = "atheris "
THERE = find_spec("atheris") is not None
KINDS = ("npy", "npz", "hdf5", "tiff", "vti", "safetensors", "torch")
WATCHED = ("lsml.io.", "lsml.learned.", "lsml.brief", "numpy.lib._format", "zipfile")
WATCHED += ("pickletools", "tifffile.tifffile")


def functions(module: ModuleType) -> Mapping[str, FunctionType]:
    """Those that a module itself defines, and its classes."""
    found = {}
    for owner in (module, *(c for c in vars(module).values() if isinstance(c, type))):
        if getattr(owner, "__module__", module.__name__) != module.__name__:
            continue
        for name, thing in vars(owner).items():
            own = getattr(thing, "__module__", "") == module.__name__
            if isinstance(thing, FunctionType) and own:
                found[f"{owner.__name__}.{name}"] = thing
    return found


def guided(
    seeds: Bytes, count: int, seed: int, folder: Path, one: Callable[[bytes], None]
) -> None:
    """Hand inputs to ``one``; the process ends after so many."""
    import atheris

    for name, module in list(sys.modules.items()):
        if name.startswith(WATCHED):
            for function in functions(module).values():
                atheris.instrument_func(function)
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, data in seeds.items():
        (corpus / name).write_bytes(data)
    options = [f"-runs={count}", f"-seed={seed}", "-max_len=20000", "-len_control=0"]
    options += ["-rss_limit_mb=0", "-timeout=0", "-print_final_stats=0", str(corpus)]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()
