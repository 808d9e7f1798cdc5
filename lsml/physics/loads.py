"""What is prescribed on average: mean field, mean flux, or any mix."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.macro_load import MacroLoad

Prescribed = Sequence[float | None] | Tensor | object
NAMES = (("strain", "stress"), ("gradient", "flux"), ("deformation", "piola"))
LOADING = dict(zip(("strain", "gradient", "displacement gradient"), NAMES, strict=True))


@dataclass(frozen=True)
class Load:
    """Mean field and mean flux, NaN where not prescribed; made by :func:`load`."""

    field: Inexact[Tensor, "*b c"]
    flux: Inexact[Tensor, "*b c"]
    names: tuple[str, str] = NAMES[0]

    def macro(self) -> MacroLoad:
        """The same with zeros for NaN and a mask of the free components.

        Of a deformation F the field is H = F − 1.
        """
        free = self.field.isnan()
        given = (
            self.field - unit_of(self.field) if self.names == NAMES[2] else self.field
        )
        field, flux = (torch.where(t.isnan(), 0.0, t) for t in (given, self.flux))
        return MacroLoad(field, flux, free.to(field.real.dtype))


def load(
    *,
    strain: Prescribed = None,
    stress: Prescribed = None,
    gradient: Prescribed = None,
    flux: Prescribed = None,
    deformation: Prescribed = None,
    piola: Prescribed = None,
) -> Load:
    """A load case, or several: mean strain and stress, or mean gradient and flux.

    Parameters
    ----------
    strain, stress : for elasticity, 6 numbers (3 in 2-D) in the order
        11 22 33 23 13 12, shear times √2, with None or NaN where the component is not
        prescribed; (b, 6) for one case per sample and (b, l, 6) for l cases on each of
        b microstructures (b = 1: on each of them). Each component is prescribed in
        exactly one of them.
    gradient, flux : the same for conduction, with 3 components (2 in 2-D).
    deformation, piola : mean F and mean first Piola-Kirchhoff stress at finite strain,
        9 components 11 12 13 21 … (4 in 2-D), or matrices (3, 3), (2, 2).

    Raises
    ------
    ValueError
        A component prescribed twice or not at all, an infinite value, or a deformation
        that leaves rotations free or turns volumes inside out.
    """
    pairs = ((strain, stress), (gradient, flux), (deformation, piola))
    named = [i for i, pair in enumerate(pairs) if any(v is not None for v in pair)]
    if len(named) != 1:
        raise ValueError(
            "load needs strain=, stress=, or both, for conduction gradient=, flux=, "
            "or both, and at finite strain deformation=, piola=, or both"
        )
    return _mixed(pairs[named[0]], NAMES[named[0]])


def _mixed(pair: tuple[Prescribed, Prescribed], names: tuple[str, str]) -> Load:
    given = [_prescribed(v, name) for v, name in zip(pair, names, strict=True)]
    like = given[0] if given[0] is not None else given[1]
    assert like is not None
    nothing = torch.full_like(like.detach(), torch.nan)
    field, flux = (nothing if g is None else g for g in given)
    try:
        field, flux = torch.broadcast_tensors(field, flux)
    except RuntimeError:
        raise ValueError(
            f"load: {names[0]} of shape {tuple(field.shape)} and {names[1]} of shape "
            f"{tuple(flux.shape)} do not fit each other"
        ) from None
    twice, never = ~field.isnan() & ~flux.isnan(), field.isnan() & flux.isnan()
    for wrong, how in ((twice, "both"), (never, "neither")):
        if bool(wrong.any()):
            place = int(wrong.reshape(-1, wrong.shape[-1]).any(0).nonzero()[0])
            raise ValueError(
                f"load: component {place} (counted from 0) is prescribed in {how} of "
                f"{' and '.join(names)}; give each in exactly one, None in the other"
            )
    if names == NAMES[2]:
        _check_deformation(field.detach())
    return Load(field, flux, names)


def unit_of(deformation: Inexact[Tensor, "*b c"]) -> Inexact[Tensor, " c"]:
    """1, row by row, beside a deformation gradient."""
    d = {4: 2, 9: 3}[deformation.shape[-1]]
    return torch.eye(d, dtype=deformation.dtype, device=deformation.device).flatten()


def _check_deformation(field: Inexact[Tensor, "*b c"]) -> None:
    """Refuse rotations that are free, and a mean deformation that is none."""
    if field.shape[-1] not in (4, 9):
        raise ValueError(
            f"load has {field.shape[-1]} components, must have 9 (3-D) or 4 (2-D)"
        )
    d = {4: 2, 9: 3}[field.shape[-1]]
    free = field.isnan().unflatten(-1, (d, d))
    turning = (free & free.mT).reshape(-1, d, d).any(0).triu(1).nonzero()
    if len(turning):
        i, j = (1 + turning[0]).tolist()
        raise ValueError(
            f"load leaves the rotation in plane {i}{j} free: prescribe the mean "
            f"deformation {i}{j} or {j}{i}"
        )
    whole = field[~field.isnan().any(-1)].double()
    volumes = torch.linalg.det(whole.unflatten(-1, (d, d)))
    if bool((volumes <= 0).any()):
        raise ValueError(
            f"load has a mean deformation of determinant {float(volumes.min()):.3g}, "
            "which must be positive"
        )


def _prescribed(value: Prescribed, name: str) -> Tensor | None:
    if value is None:
        return None
    if isinstance(value, Tensor):
        value = value.clone()  # the caller may go on to change it
    else:
        try:
            value = _numbers(_without_none(value))
        except (TypeError, ValueError):
            raise ValueError(
                f"load: {name} must be components, or rows of them, as numbers or None"
            ) from None
    if not value.is_floating_point() and not value.is_complex():
        value = value.double()
    if name in NAMES[2] and value.ndim > 1 and value.shape[-2:] in ((2, 2), (3, 3)):
        value = value.flatten(-2)
    if not 1 <= value.ndim <= 3 or value.numel() == 0:
        raise ValueError(
            f"load: {name} of shape {tuple(value.shape)} must be "
            "(c,), (b, c) or (b, l, c)"
        )
    if bool(value.isinf().any()):
        raise ValueError(f"load: {name} is infinite")
    return value


def _numbers(value: object) -> Tensor:
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, RuntimeError):
        return torch.as_tensor(value, dtype=torch.complex128)


def _without_none(value: object) -> object:
    if value is None:
        return float("nan")
    if isinstance(value, (list, tuple)):
        return [_without_none(v) for v in value]
    return value
