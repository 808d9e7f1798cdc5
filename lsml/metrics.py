"""How far a predicted field is from the true one."""

from jaxtyping import Float
from torch import Tensor

from lsml.typing import PerSample


def mase(pred: Float[Tensor, "b *n"], true: Float[Tensor, "b *n"]) -> PerSample:
    """Mean absolute strain error of one component, in percent of its mean.

    100 · mean|pred − true| / |mean true| over the voxels of each sample (Kelly &
    Kalidindi 2021, equation 28); for the component 11 of a strain, pass strain[:, 0].
    """
    error = (pred - true).abs().flatten(1).mean(1)
    return 100 * error / true.flatten(1).mean(1).abs()
