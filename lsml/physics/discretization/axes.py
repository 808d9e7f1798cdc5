"""What potentials do at the two faces of a cell across one axis, and their transform.

Along an axis of n voxels there are n + 1 corners, j = 0 … n. Homogeneous elements on
them have eigenvectors of the angle θ = πk/n: sin jθ where potentials vanish on the
faces (k = 1 … n − 1), cos jθ where the faces are free (k = 0 … n, the natural boundary
condition of elements), with the eigenvalues λ that exp(ijθ) has in a periodic cell:
K c = λ W c, where W is 1 inside and ½ on free faces. A solve of K u = f is therefore
``backward(forward(f)/λ)`` with the plain sums ``forward`` = Cᵀ and ``backward`` = C/D,
D = Cᵀ W C being the squared norms.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Axis(Protocol):
    """One kind of face. ``a`` counts spatial axes from the end."""

    name: str
    least: int  # voxels that an axis needs
    moves: bool  # whether a uniform potential is possible

    def places(self, n: int) -> int:
        """Potentials along an axis of n voxels."""
        ...

    def angles(self, n: int, device: torch.device) -> Float[Tensor, " k"]:
        """θ of each of them."""
        ...

    def spread(self, u: Tensor, a: int) -> Tensor:
        """Values at all n + 1 corners."""
        ...

    def gather(self, v: Tensor, a: int) -> Tensor:
        """The transpose of ``spread``."""
        ...


class Periodic:
    """The last corner is the first one; Fourier transforms take all such axes."""

    name, least, moves = "periodic", 1, True

    def places(self, n: int) -> int:
        """n."""
        return n

    def angles(self, n: int, device: torch.device) -> Float[Tensor, " k"]:
        """2πk/n, from −π to π."""
        turns = torch.arange(n, dtype=torch.float64, device=device)
        turns = torch.where(turns > n // 2, turns - n, turns)
        return torch.pi * (2 * turns / n)

    def spread(self, u: Tensor, a: int) -> Tensor:
        """Repeats the first."""
        return torch.cat([u, u.narrow(a, 0, 1)], a)

    def gather(self, v: Tensor, a: int) -> Tensor:
        """Adds the last to the first."""
        n = v.shape[a] - 1
        first = v.narrow(a, 0, 1) + v.narrow(a, n, 1)
        return torch.cat([first, v.narrow(a, 1, n - 1)], a)


class Dirichlet:
    """Fluctuations vanish on both faces: the potential is affine there."""

    name, least, moves = "dirichlet", 2, False

    def places(self, n: int) -> int:
        """Those inside, n − 1."""
        return n - 1

    def angles(self, n: int, device: torch.device) -> Float[Tensor, " k"]:
        """πk/n, k = 1 … n − 1."""
        return torch.arange(1, n, dtype=torch.float64, device=device) * (torch.pi / n)

    def spread(self, u: Tensor, a: int) -> Tensor:
        """Zeros on both sides."""
        zero = torch.zeros_like(u.narrow(a, 0, 1))
        return torch.cat([zero, u, zero], a)

    def gather(self, v: Tensor, a: int) -> Tensor:
        """Leaves the faces out."""
        return v.narrow(a, 1, v.shape[a] - 2)

    def forward(self, v: Tensor, a: int) -> Tensor:
        """Σ_j v_j sin jθ, by the Fourier transform of the odd extension."""
        full = self.spread(v, a)
        odd = torch.cat([full, -v.flip(a)], a)
        k = v.shape[a]
        return -torch.fft.rfft(odd, dim=a).imag.narrow(a, 1, k) / 2

    def backward(self, hat: Tensor, a: int) -> Tensor:
        """Σ_k of the same sines, over their squared norm n/2."""
        return self.forward(hat, a) * (2 / (hat.shape[a] + 1))


class Neumann:
    """Free fluctuations: what is prescribed on the faces is the flux."""

    name, least, moves = "neumann", 1, True

    def places(self, n: int) -> int:
        """All n + 1 corners."""
        return n + 1

    def angles(self, n: int, device: torch.device) -> Float[Tensor, " k"]:
        """πk/n, k = 0 … n."""
        return torch.arange(n + 1, dtype=torch.float64, device=device) * (torch.pi / n)

    def spread(self, u: Tensor, a: int) -> Tensor:
        """As they are."""
        return u

    def gather(self, v: Tensor, a: int) -> Tensor:
        """As they are."""
        return v

    def forward(self, v: Tensor, a: int) -> Tensor:
        """Σ_j v_j cos jθ, by the Fourier transform of the even extension."""
        n = v.shape[a] - 1
        ends = torch.cat([2 * v.narrow(a, 0, 1), 2 * v.narrow(a, n, 1)], a)
        inside = v.narrow(a, 1, n - 1)
        even = [ends.narrow(a, 0, 1), inside, ends.narrow(a, 1, 1), inside.flip(a)]
        return torch.fft.rfft(torch.cat(even, a), dim=a).real / 2

    def backward(self, hat: Tensor, a: int) -> Tensor:
        """Σ_k of the same cosines, over their squared norms n/2, n at either end."""
        n = hat.shape[a] - 1
        weight = torch.full((n + 1,), 2 / n, dtype=hat.dtype, device=hat.device)
        weight[0] = weight[-1] = 1 / n
        return self.forward(hat * weight.reshape(-1, *[1] * (-a - 1)), a)


PERIODIC = Periodic()
AXES: dict[str, Periodic | Dirichlet | Neumann] = {
    kind.name: kind for kind in (PERIODIC, Dirichlet(), Neumann())
}
