"""Kernels compiled, or read from the cache of an earlier process, before the clock."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from lsml.law import PhaseLaw
from lsml.native.element import slab
from lsml.native.form import NativeForm
from lsml.native.scratch import stamp
from lsml.physics.elasticity import elasticity
from lsml.physics.loads import load
from lsml.physics.moduli import isotropic


def compiled_before() -> bool:
    """Whether an earlier process, or this one, has compiled the element kernel."""
    if slab.signatures:
        return True
    cache = slab.stats.cache_path
    return cache is not None and any(Path(cache).glob(f"element.slab_{stamp()}*.nbc"))


@lru_cache(maxsize=16)
def warm_up(labels: torch.dtype, real: torch.dtype) -> None:
    """Run every kernel once, on a cell of eight voxels."""
    cell = torch.zeros(2, 2, 2, dtype=torch.int64)
    stretch = load(strain=[1.0, 0, 0, 0, 0, 0])
    tiny = elasticity(cell, [isotropic(E=1.0, nu=0.3)], stretch, "hex8", dtype=real)
    assert isinstance(tiny.law, PhaseLaw)
    law = replace(tiny.law, labels=tiny.law.labels.to(labels))
    form = NativeForm(replace(tiny, law=law))
    one = torch.ones(1, dtype=torch.float64)
    with torch.no_grad():
        x = form.start()
        form.norm(form.residual(x))
        form.combine(x, one, form.hessian(x, x), x)
        form.combine(x.double(), one, x, x.double())
