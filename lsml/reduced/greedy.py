"""The offline half: snapshots where the certificate is worst, and their matrices.

Greedy selection over a training set (Veroy, Prud'homme, Rovas & Patera 2003; Rozza,
Huynh & Patera 2008). Each microstructure chooses for itself; their snapshots are
solved in one batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.memory import demand
from lsml.physics.rules.conjugate_gradient import ConjugateGradient
from lsml.reduced.affine import Affine, Coefficients, Vectors, matrices
from lsml.reduced.assembly import first_gram, first_terms, grown_gram, grown_terms
from lsml.reduced.basis import ReducedBasis
from lsml.reduced.estimate import Estimate
from lsml.reduced.model import ReducedModel
from lsml.reduced.setup import Setup
from lsml.spectrum import spectrum
from lsml.state import Status
from lsml.stop import RelativeResidual
from lsml.typing import PerSample

SNAPSHOT = 1e-8  # relative residual of a snapshot
SPAN = 1e-10  # share of a stiffness below which a direction is rounding
NEW = 1e-12  # share of its energy that a snapshot must add to the basis

Measure = Callable[[Estimate], Float[Tensor, "t b l"]]


@dataclass(frozen=True)
class Plan:
    """How far to go: until ``measure`` is ``tol`` in every point, or out of rounds."""

    measure: Measure
    tol: float
    snapshots: int
    max_iter: int


def build(setup: Setup, plan: Plan) -> ReducedBasis:
    """A basis for the tables of a set-up.

    Raises
    ------
    MemoryError
        Basis and snapshots cannot fit.
    ConvergenceError
        A snapshot failed.
    """
    require(setup, plan.snapshots)
    basis, cells = empty(setup), torch.arange(len(setup.loads))
    for _ in range(plan.snapshots):
        estimate = basis.model(setup.table)
        if not bool((plan.measure(estimate) > plan.tol).any()):
            break
        worst = indicator(basis.model, setup.table, estimate).amax(2).argmax(0)
        basis = extended(basis, setup.table[worst], plan.max_iter, cells.to(worst))
    return basis


def require(setup: Setup, snapshots: int) -> None:
    """Refuse a basis that cannot fit."""
    s, loads, columns = setup.loads.shape
    kept = snapshots * loads
    q = directions(setup.table).shape[2]
    rows = 2 * kept + (2 * q + 10) * loads + 2 * q * columns
    vectors = f"a basis of {s} × {kept} displacements"
    need = 8 * s * setup.affine.length * rows
    demand(need, setup.loads.device, vectors, "; take fewer snapshots")


def empty(setup: Setup) -> ReducedBasis:
    """The columns alone, without a displacement."""
    affine, table = setup.affine, setup.table
    along = directions(table)
    s, p, g = len(setup.loads), *table.shape[1:]
    model = ReducedModel(
        affine.law.entries,
        first_terms(affine, table[:1]),
        first_gram(affine, along),
        along,
        affine.medium,
        setup.loads,
        torch.zeros(s, 0, dtype=torch.bool, device=table.device),
        setup.effective,
    )
    vectors = table.new_zeros(s, 0, affine.length)
    return ReducedBasis(
        affine, vectors, model, table.new_zeros(0, s, p, g), setup.engine
    )


def directions(table: Coefficients) -> Float[Tensor, "p g q"]:
    """Orthonormal combinations of coefficients, phase by phase, that span the tables.

    Two for isotropic phases, one for a phase that only scales.
    """
    blocks = []
    for phase, rows in enumerate(table.unbind(1)):
        lengths = rows.norm(dim=1, keepdim=True)
        _, sizes, span = torch.linalg.svd(
            rows / torch.where(lengths > 0, lengths, 1.0), full_matrices=False
        )
        kept = span[sizes > SPAN * max(1.0, float(sizes[0]))]
        block = table.new_zeros(*table.shape[1:], len(kept))
        block[phase] = kept.T
        blocks.append(block)
    return torch.cat(blocks, 2)


def indicator(
    model: ReducedModel, table: Coefficients, estimate: Estimate
) -> Float[Tensor, "t b l"]:
    """Bound of the relative error in energy; pores are left out of λ_min."""
    gap = estimate.residual.square() / softest(model, table)[:, None, None]
    energy = estimate.energy
    return torch.where(energy > 0, gap / energy, 0.0)


def softest(model: ReducedModel, table: Coefficients) -> PerSample:
    """Least stiffness ratio to C⁰ of the phases that have any."""
    phases = matrices(table, model.entries)
    pore = (table == 0).all(2)[..., None, None]
    medium = model.medium.expand(len(table), -1, -1)
    low, _ = spectrum(torch.where(pore, medium[:, None], phases), medium)
    return low


def extended(
    basis: ReducedBasis, table: Coefficients, max_iter: int, cells: Tensor
) -> ReducedBasis:
    """With one snapshot more for each microstructure, at its own table."""
    rule, stop = ConjugateGradient(), RelativeResidual(SNAPSHOT)
    solution = basis.run(table, cells, rule, stop, max_iter)
    if bool((solution.status != Status.STAGNATED).any()):
        solution.check()
    found = solution.state.x.unflatten(0, (len(cells), -1))
    affine, model, vectors = basis.affine, basis.model, basis.vectors
    middle = torch.cat([basis.snapshots, table[None]]).mean(0)
    new = orthonormal(basis, middle, found)
    terms, images = grown_terms(affine, model, vectors, new)
    gram = grown_gram(affine, model, vectors, images)
    idle = torch.cat([model.idle, (new == 0).all(2)], 1)
    return replace(
        basis,
        vectors=torch.cat([vectors, new], 1),
        model=replace(model, terms=terms, gram=gram, idle=idle),
        snapshots=torch.cat([basis.snapshots, table[None]]),
    )


def orthonormal(basis: ReducedBasis, table: Coefficients, found: Vectors) -> Vectors:
    """What is new in some displacements, orthonormal in the energy of a table.

    Zero where a displacement brings nothing new. Gram-Schmidt twice (Giraud et al.
    2005).
    """
    affine, old, e = basis.affine, basis.vectors, basis.model.loads.shape[2]
    inner = torch.einsum("spg,spgmn->smn", table, basis.model.terms)[:, e:, e:]
    inner = inner + torch.diag_embed(basis.model.idle.to(inner))
    size = energies(affine, table, found).diagonal(dim1=1, dim2=2)
    new = found * torch.where(size > 0, size, 1.0).rsqrt()[..., None]
    for least in (NEW, 0.5):
        overlap = affine.products(old, affine.images(table, new))
        new = new - torch.linalg.solve(inner, overlap).mT @ old
        values, axes = torch.linalg.eigh(energies(affine, table, new))
        kept = values > least
        factor = torch.where(kept, values, 1.0).rsqrt() * kept
        new = (axes * factor[:, None]).mT @ new
    return new


def energies(
    affine: Affine, table: Coefficients, vectors: Vectors
) -> Float[Tensor, "s n n"]:
    """Products of displacements in the energy of a table."""
    products = affine.products(vectors, affine.images(table, vectors))
    return (products + products.mT) / 2
