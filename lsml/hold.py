"""Potentials whose mean field is held at zero between free faces.

Where faces are free a potential may have a gradient on average, which the load is to
say and nothing else. What holds it is a uniform flux, a reaction. It must be taken out
of forces too: a residual that goes to zero must not carry a part that does not, or its
rounding would grow in the directions that it is meant to suppress.
"""

from typing import NamedTuple

from jaxtyping import Float, Inexact
from torch import Tensor


class Hold(NamedTuple):
    """The projection Π on potentials u with <B u> = 0, orthogonal in energy.

    Attributes
    ----------
    answers : g_i = N t_i, potential of the medium N⁻¹ under each unit flux.
    drives : t_i, so that the mean field of u is t_i·u, but for one factor.
    compliance : K, the (pseudo-)inverse of t_i·g_j in float64: that of the numbers as
        they are rounded, so that Π takes the mean out of a u of any size.
    """

    answers: Float[Tensor, "s c m *w"]
    drives: Float[Tensor, "one c m *w"]
    compliance: Float[Tensor, "s c c"]

    def settle(self, u: Inexact[Tensor, "b m *w"]) -> Inexact[Tensor, "b m *w"]:
        """Π u = u − Σ g_i K_ij t_j·u."""
        amount = self._products(self.drives, u, self.compliance.mT)
        return u - self._sum(self.answers, amount)

    def relieve(self, force: Inexact[Tensor, "b m *w"]) -> Inexact[Tensor, "b m *w"]:
        """Πᵀ f = f − Σ t_j K_ij g_i·f: a force without reaction."""
        amount = self._products(self.answers, force, self.compliance)
        return force - self._sum(self.drives, amount)

    def _products(
        self, rows: Tensor, v: Tensor, matrix: Tensor
    ) -> Inexact[Tensor, "b l c"]:
        """Products of each sample with its rows, times a matrix."""
        each = v.unflatten(0, (len(matrix), -1)).flatten(2)
        rows = rows.flatten(2).to(v.dtype).expand(len(each), -1, -1)
        return each @ rows.mT @ matrix.to(v.dtype)

    def _sum(self, rows: Tensor, amount: Tensor) -> Inexact[Tensor, "b m *w"]:
        """Sum of the rows, so much of each."""
        flat = rows.flatten(2).to(amount.dtype).expand(len(amount), -1, -1)
        return (amount @ flat).flatten(0, 1).unflatten(1, tuple(rows.shape[2:]))
