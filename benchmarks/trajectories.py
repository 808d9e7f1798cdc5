"""What conjugate gradients know after every iteration, and what they come to."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import lsml
from lsml.acceleration import accelerate
from lsml.displacement_form import DisplacementForm
from lsml.energy import Spectrum, work
from lsml.gauss_radau import Gauge
from lsml.homogenization import unit_loads
from lsml.physics.reference import extreme_ratios
from lsml.rule import Iterate

CONVERGED = 1e-8  # of the energy, bounded by the interval that is left
LIMIT = 400  # iterations


class Trajectory(NamedTuple):
    """Iterations 0 … k of c unit load cases on one microstructure.

    Attributes
    ----------
    energy : of every iterate, twice what is stored; (k, c).
    gauges : the packed scalars, (k, c, s).
    norm2 : squared residual norm, (k, c).
    least : the energy in the end, (c,).
    """

    energy: Tensor
    gauges: Tensor
    norm2: Tensor
    least: Tensor


def problem(labels: np.ndarray, contrast: float, scheme: str) -> lsml.Problem:
    """The seed paper's phases: E = 1 and the contrast, ν = 0.3."""
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=contrast, nu=0.3)]
    strain = [1.0] + [0.0] * (2 if labels.ndim == 2 else 5)
    return lsml.elasticity(labels, phases, lsml.load(strain=strain), scheme)


@torch.no_grad()
def follow(
    labels: np.ndarray, contrast: float, scheme: str, cases: tuple[int, ...] = (0,)
) -> Trajectory:
    """Iterate some unit load cases until next to nothing is left; keep the scalars."""
    rule = lsml.ConjugateGradient()
    strain = problem(labels, contrast, scheme).strain
    strain = unit_loads(strain.referred(rule.reference)).select(torch.tensor(cases))
    assert strain is not None
    form = accelerate(DisplacementForm(strain), "auto").problem
    spectrum = Spectrum(*extreme_ratios(strain))
    x, memory = rule.init(form, form.start(), 0)
    first = work(form, x, memory.force)
    gauges, norms, k = [], [], 0
    while True:
        residual = rule.residual(form, x, memory, k)
        gauges.append(memory.gauge.clone())
        norms.append(memory.norm2.clone())
        gap = spectrum.gap(form, residual)
        # with pores nothing bounds the rest, which is then of the order of its least
        rest = torch.where(gap[:, 1].isfinite(), gap[:, 1], 1e3 * gap[:, 0])
        if k == LIMIT or bool((rest <= CONVERGED * first).all()):
            break
        x, memory = rule.step(form, Iterate(x, residual, k), memory)
        k += 1
    packed = torch.stack(gauges)
    energy = first - torch.stack([Gauge.unpacked(g).gained[:, 0] for g in gauges])
    return Trajectory(energy, packed, torch.stack(norms), energy[-1] - gap[:, 0])
