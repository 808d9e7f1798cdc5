"""Small problems on which rules are checked.

Between them: 2-D and 3-D, odd and even and non-cubic grids, unlike spacings, an axis
of one voxel, one and three samples with different phases, mean strain and mixed
control, eigenstrain, every discretization, both forms, elasticity and conduction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.physics.loads import NAMES, Load
from lsml.testing.case import Build, conducting, elastic
from lsml.testing.case import Case as Case
from lsml.testing.case import Form as Form
from lsml.testing.case import Twisted as Twisted
from lsml.testing.case import in_strain as in_strain


def isotropic_matrix(young: float, c: int) -> Float[Tensor, "c c"]:
    """Mandel stiffness for ν = 0.25, where λ = μ = 0.4 E."""
    unit = torch.tensor([1.0] * {3: 2, 6: 3}[c] + [0.0] * {3: 1, 6: 3}[c])
    shape = torch.outer(unit, unit) + 2 * torch.eye(c)
    return 0.4 * young * shape.double()


@dataclass(frozen=True)
class Branch:
    """A physics that cases are made of.

    Attributes
    ----------
    components : of the field, by the dimension of space.
    collocated : the first so many of them stand at one place on the staggered grid.
    isotropic : a phase, by the number of components.
    eigenstrain : its size under mixed control.
    """

    build: Build
    names: tuple[str, str]
    components: Mapping[int, int]
    collocated: Mapping[int, int]
    isotropic: Callable[[int], Float[Tensor, "c c"]]
    eigenstrain: float


ELASTICITY = Branch(
    elastic,
    NAMES[0],
    {2: 3, 3: 6},
    {2: 2, 3: 3},
    lambda c: isotropic_matrix(1, c),
    1e-3,
)
CONDUCTION = Branch(
    conducting,
    NAMES[1],
    {2: 2, 3: 3},
    {2: 1, 3: 1},
    lambda c: torch.eye(c).double(),
    0.0,
)


def small_case(
    discretization: str,
    form: Form,
    shape: tuple[int, ...],
    batch: int,
    *,
    mixed: bool = False,
    branch: Branch = ELASTICITY,
) -> Case:
    """Three samples or one of a random two-phase medium, reproducible by its shape.

    Parameters
    ----------
    mixed : prescribe the first component of the mean field and otherwise mean fluxes,
        and in elasticity add an eigenstrain; otherwise the whole mean field.
    """
    ndim, c = len(shape), branch.components[len(shape)]
    draw = torch.Generator().manual_seed(sum(n * 10**i for i, n in enumerate(shape)))
    labels = torch.randint(2, (batch, *shape), generator=draw)
    labels.flatten(1)[:, :2] = torch.tensor([0, 1])  # both phases in every sample
    values = 1e-3 * torch.randn(batch, c, generator=draw, dtype=torch.float64)
    kind, eigen = "mixed" if mixed else branch.names[0], branch.eigenstrain
    strains = eigen * torch.randn(batch, 2, c, generator=draw).double()
    return Case(
        f"{ndim}-D {discretization} {kind} {shape} × {batch} {form.__name__}",
        labels,
        _phases(batch, ndim, branch, discretization == "staggered"),
        _load(values, branch, 1 if mixed else c),
        discretization,
        (1.0, 2.0, 0.5)[:ndim],
        strains if mixed and eigen else None,
        form,
        branch.build,
    )


def _phases(
    batch: int, ndim: int, branch: Branch, apart: bool
) -> Float[Tensor, "b 2 c c"]:
    """An isotropic phase and a stiffer anisotropic one, different in each sample.

    ``apart``: without coupling between components that stand at different places.
    """
    c = branch.components[ndim]
    soft = branch.isotropic(c)
    skew = torch.linspace(-0.4, 0.6, c, dtype=torch.float64)
    coupling = torch.outer(skew, skew)
    if apart:
        together = torch.eye(c, dtype=torch.bool)
        together[: branch.collocated[ndim], : branch.collocated[ndim]] = True
        coupling = coupling * together
    stiff = [(1.8 + 0.4 * i) * soft + 0.5 * coupling for i in range(batch)]
    return torch.stack([torch.stack([soft, other]) for other in stiff])


def _load(values: Float[Tensor, "b c"], branch: Branch, fields: int) -> Load:
    """The first ``fields`` components as a mean field, the others as a mean flux."""
    first = torch.arange(values.shape[1]) < fields
    field = values.masked_fill(~first, torch.nan)
    return Load(field, values.masked_fill(first, torch.nan), branch.names)


CASES: tuple[Case, ...] = (
    small_case("fourier", in_strain, (5, 4), 3),
    small_case("fourier", DisplacementForm, (4, 7), 3, mixed=True),
    small_case("rotated", in_strain, (1, 6), 1),
    small_case("rotated", DisplacementForm, (5, 4), 3),
    small_case("hex8", in_strain, (3, 4), 3, mixed=True),
    small_case("hex8", DisplacementForm, (6, 3), 1),
    small_case("fourier", in_strain, (3, 4, 2), 1, mixed=True),
    small_case("fourier", DisplacementForm, (3, 1, 4), 3),
    small_case("rotated", in_strain, (4, 3, 5), 3),
    small_case("rotated", DisplacementForm, (2, 4, 3), 1, mixed=True),
    small_case("hex8", in_strain, (2, 3, 1), 3),
    small_case("hex8", DisplacementForm, (3, 2, 4), 3, mixed=True),
)
STAGGERED_CASES: tuple[Case, ...] = (
    small_case("staggered", in_strain, (4, 3), 3, mixed=True),
    small_case("staggered", DisplacementForm, (3, 2, 4), 3),
)
CONDUCTION_CASES: tuple[Case, ...] = (
    small_case("fourier", in_strain, (4, 3), 3, branch=CONDUCTION),
    small_case("rotated", DisplacementForm, (5, 4), 3, mixed=True, branch=CONDUCTION),
    small_case("hex8", in_strain, (3, 2, 4), 1, mixed=True, branch=CONDUCTION),
    small_case("staggered", DisplacementForm, (3, 4, 2), 3, branch=CONDUCTION),
)
ALL_CASES: tuple[Case, ...] = CASES + STAGGERED_CASES + CONDUCTION_CASES
