"""What a learned rule is trained and tested on."""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float32, UInt8
from torch import Tensor


class Sample(NamedTuple):
    """A microstructure and its strain; the default collation adds a batch axis.

    Attributes
    ----------
    labels : phase of each voxel.
    strain : stored Mandel components over the amplitude of the mean strain, so that the
        mean of the component that is loaded is 1 and that of the others 0.
    """

    labels: UInt8[Tensor, "*n"]
    strain: Float32[Tensor, "j *n"]


@runtime_checkable
class Samples(Protocol):
    """A data set, such as :class:`lsml.data.LocalizationDataset`, or a list."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """One of them."""
        ...
