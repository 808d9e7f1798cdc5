"""What compiled kernels share: flags, a stamp, and the layout of their scratch array.

Along an axis, the average of two neighbours is called A and their difference D: DAX is
the mode of the x displacement that varies along x and not along y. F100Y is the force,
along y, of the mode that varies along x only, and so on.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

KERNELS = ("arrays", "element", "hooke", "scratch")
FAST = {"contract", "reassoc", "nsz", "arcp"}
LOOSE = FAST | {"nnan", "ninf"}  # so that products with a constant zero disappear


@lru_cache(maxsize=1)
def stamp() -> str:
    """Digest of the sources that kernels are compiled from."""
    sources = [Path(__file__).with_name(f"{name}.py") for name in KERNELS]
    return sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:12]


def stamped(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel under a name that changes with its sources.

    Numba's cache on disk goes by name and watches one file only: an update of another
    file would leave an old kernel in use.
    """
    kernel.__qualname__ = f"{kernel.__name__}_{stamp()}"
    return kernel


WIDTH = 64
STRIDE = WIDTH + 8
W, P = np.uint64(WIDTH), np.uint64(STRIDE)
N0, N1, N2, N3 = (np.uint64(i) for i in range(4))


def _rows(start, count):
    return [np.uint64((start + i) * STRIDE) for i in range(count)]


# Modes without and with a difference along x and y, for each displacement component.
AAX, AAY, AAZ, ADX, ADY, ADZ, DAX, DAY, DAZ, DDX, DDY, DDZ = _rows(0, 12)
SUM, DIFFERENCE = _rows(12, 4)[::3]  # along x, of the last node column
F001X, F001Y, F001Z, F010X, F010Y, F010Z, F100X, F100Y, F100Z = _rows(18, 9)
F011X, F011Y, F011Z, F101X, F101Y, F101Z, F110X, F110Y, F110Z = _rows(27, 9)
F111X, F111Y, F111Z = _rows(36, 3)
PENDING_SUM, PENDING_DIFFERENCE = _rows(39, 4)[::3]  # forces on the next node column
NEAR, FAR = _rows(45, 2)  # forces on the node rows at both ends along x
MODULI = np.uint64(47 * STRIDE)
SCRATCH = (47 + 21) * STRIDE
