"""Kernels compiled, or read from the cache of an earlier process, before the clock."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from lsml.native.arrays import add, dot, multiply
from lsml.native.element import slab
from lsml.native.scratch import stamp
from lsml.native.transform import COMPLEX


def compiled_before() -> bool:
    """Whether an earlier process, or this one, has compiled the element kernel."""
    if slab.signatures:
        return True
    cache = slab.stats.cache_path
    return cache is not None and any(Path(cache).glob(f"element.slab_{stamp()}*.nbc"))


@lru_cache(maxsize=16)
def warm_up(labels: torch.dtype, real: torch.dtype) -> None:
    """Run every kernel once on a cell of one voxel."""
    phase = torch.zeros(1, dtype=labels).numpy()
    vector = torch.ones(3, dtype=real).numpy()
    kind = vector.dtype.type
    one, table, nothing = kind(1), np.ones((1, 3), kind), np.zeros((0, 6), kind)
    at, geometry = (phase, table, nothing), ((1, 1, 1), (one, one, one), True)
    slab(vector, *at, vector.copy(), np.zeros(6), *geometry, np.arange(3), 0, 1)
    dot(vector, vector)
    add(vector, one, vector, vector)
    hat = np.zeros((3, 1, 1, 1), COMPLEX[vector.dtype])
    multiply(hat, np.ones((6, 1, 1, 1), kind), one)
