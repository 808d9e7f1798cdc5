"""One number for a tensor or a vector: von Mises' equivalents, and length."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.discretization import Words
from lsml.mandel import DIMENSION

ALIKE = 1e-9  # of a stiffness, up to which two count as the same

Points = Inexact[Tensor, "b q c v"]
Size = Float[Tensor, "b q v"]
Measure = Callable[[Points], Size]
Third = Callable[[Points], Inexact[Tensor, "b q v"]]


def measures(
    words: Words,
    table: Inexact[Tensor, "t p c c"] | None,
    labels: Integer[Tensor, "b v"],
) -> tuple[Measure, Measure]:
    """Of field and flux of a physics: √(2/3 e:e), √(3/2 s:s), or the lengths.

    ``table`` and ``labels`` are for the stress along the third axis of a plane, which
    no table tells of phases that are not elastic.
    """
    of_field, of_flux = MEASURES.get(words.field, (length, length))
    third = unknown if table is None else partial(normal_stress, table, labels)
    return partial(of_field, no_strain), partial(of_flux, third)


def no_strain(x: Points) -> Inexact[Tensor, "b q v"]:
    """ε_33 of plane strain."""
    return torch.zeros_like(x[:, :, 0])


def unknown(x: Points) -> Inexact[Tensor, "b q v"]:
    """σ_33 of phases that yield."""
    raise ValueError(
        "the equivalent stress in plane strain needs elastic phases: the stress along "
        "the third axis is not known of others"
    )


def length(third: Third, x: Points) -> Size:
    """Of vectors, complex ones too."""
    return x.abs().square().sum(2).sqrt()


def von_mises(weight: float, third: Third, x: Points) -> Size:
    """√(weight · deviator : deviator) of Mandel components."""
    d = DIMENSION[x.shape[2]]
    normal, shear = x[:, :, :d], x[:, :, d:]
    if d == 2:
        normal = torch.cat([normal, third(x)[:, :, None]], 2)
    deviator = normal - normal.mean(2, keepdim=True)
    square = deviator.square().sum(2) + shear.square().sum(2)
    return (weight * square).sqrt()


MEASURES: dict[str, tuple[Callable[..., Size], Callable[..., Size]]] = {
    "strain": (partial(von_mises, 2 / 3), partial(von_mises, 3 / 2))
}


def normal_stress(
    table: Inexact[Tensor, "t p c c"], labels: Integer[Tensor, "b v"], x: Points
) -> Inexact[Tensor, "b q v"]:
    """σ_33 = ν (σ_11 + σ_22) of isotropic phases in plane strain."""
    first, second = table[..., 0, 0], table[..., 0, 1]
    unit = torch.eye(3, dtype=table.dtype, device=table.device)
    coupled = torch.zeros_like(unit)
    coupled[0, 1] = coupled[1, 0] = 1.0
    coupled[2, 2] = -1.0
    plain = first[..., None, None] * unit + second[..., None, None] * coupled
    if bool(((table - plain).abs() > ALIKE * first[..., None, None]).any()):
        raise ValueError(
            "the equivalent stress in plane strain needs isotropic phases: the "
            "stress along the third axis is not known of others"
        )
    total = first + second
    poisson = torch.where(total == 0, 0.0, second / total)
    poisson = poisson.repeat_interleave(len(labels) // len(poisson), 0)
    return poisson.gather(1, labels.long())[:, None] * (x[:, :, 0] + x[:, :, 1])
