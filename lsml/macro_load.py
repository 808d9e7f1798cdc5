"""What is prescribed on average, and how a uniform medium answers to it."""

from typing import NamedTuple

from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.green import GreenOperator
from lsml.law import Uniform


class MacroLoad(NamedTuple):
    """What is prescribed on average, component by component.

    ``field`` where the mean field is prescribed and 0 elsewhere, ``flux`` where the
    mean flux is and 0 elsewhere, ``free`` (real) 1 where the mean field is free.
    """

    field: Inexact[Tensor, "b c"]
    flux: Inexact[Tensor, "b c"]
    free: Float[Tensor, "b c"]

    def to(self, like: Tensor) -> "MacroLoad":
        """On the device and in the precision of a field."""
        real = like.real if like.is_complex() else like
        return MacroLoad(self.field.to(like), self.flux.to(like), self.free.to(real))


def uniform_answer(
    reference: Uniform, green: GreenOperator, load: MacroLoad
) -> Inexact[Tensor, "b c"]:
    """Mean field of the homogeneous reference medium under the load: x̄.

    The prescribed mean field, completed by the answer to the prescribed mean flux.
    """
    return load.field + green.mean_compliance(load.flux - reference.mean(load.field))
