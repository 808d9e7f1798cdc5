"""What is prescribed on average: mean strain, mean stress, or any mix."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.strain_form import MacroLoad

Prescribed = Sequence[float | None] | Tensor | object


@dataclass(frozen=True)
class Load:
    """Mean field and mean flux, NaN where not prescribed; made by :func:`load`."""

    field: Float[Tensor, "*b c"]
    flux: Float[Tensor, "*b c"]

    def macro(self) -> MacroLoad:
        """The same with zeros for NaN and a mask of the free components."""
        free = self.field.isnan()
        field, flux = (torch.where(t.isnan(), 0.0, t) for t in (self.field, self.flux))
        return MacroLoad(field, flux, free.to(field.dtype))


def load(*, strain: Prescribed = None, stress: Prescribed = None) -> Load:
    """A load case, or several: Mandel components of the mean strain and stress.

    Parameters
    ----------
    strain, stress : 6 numbers (3 in 2-D) in the order 11 22 33 23 13 12, shear times
        √2, with None or NaN where the component is not prescribed; (b, 6) for one
        case per sample and (b, l, 6) for l cases on each of b microstructures
        (b = 1: on each of them). Each component is prescribed in exactly one of them.

    Raises
    ------
    ValueError
        A component prescribed twice or not at all, or an infinite value.
    """
    if strain is None and stress is None:
        raise ValueError("load needs strain=, stress=, or both")
    given = [
        _prescribed(v, name) for v, name in ((strain, "strain"), (stress, "stress"))
    ]
    like = given[0] if given[0] is not None else given[1]
    assert like is not None
    nothing = torch.full_like(like.detach(), torch.nan)
    field, flux = (nothing if g is None else g for g in given)
    try:
        field, flux = torch.broadcast_tensors(field, flux)
    except RuntimeError:
        raise ValueError(
            f"load: strain of shape {tuple(field.shape)} and stress of shape "
            f"{tuple(flux.shape)} do not fit each other"
        ) from None
    twice, never = ~field.isnan() & ~flux.isnan(), field.isnan() & flux.isnan()
    for wrong, how in ((twice, "both"), (never, "neither")):
        if bool(wrong.any()):
            place = int(wrong.reshape(-1, wrong.shape[-1]).any(0).nonzero()[0])
            raise ValueError(
                f"load: component {place} (counted from 0) is prescribed in {how} of "
                "strain and stress; give each in exactly one, None in the other"
            )
    return Load(field, flux)


def _prescribed(value: Prescribed, name: str) -> Tensor | None:
    if value is None:
        return None
    if isinstance(value, Tensor):
        value = value.clone()  # the caller may go on to change it
    else:
        try:
            value = torch.as_tensor(_without_none(value), dtype=torch.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"load: {name} must be components, or rows of them, as numbers or None"
            ) from None
    if not value.is_floating_point():
        value = value.double()
    if not 1 <= value.ndim <= 3 or value.numel() == 0:
        raise ValueError(
            f"load: {name} of shape {tuple(value.shape)} must be "
            "(c,), (b, c) or (b, l, c)"
        )
    if bool(value.isinf().any()):
        raise ValueError(f"load: {name} is infinite")
    return value


def _without_none(value: object) -> object:
    if value is None:
        return float("nan")
    if isinstance(value, (list, tuple)):
        return [_without_none(v) for v in value]
    return value
