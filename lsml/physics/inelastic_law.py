"""Phases whose deviator answers along a curve, beside elastic ones: voxel by voxel.

    σ = K tr(ε) 1 + (2/3) (σ_eq/ε_eq) η,   η = dev(ε) − ε_p,   ε_eq = √(2/3) ‖η‖

with ε_p from before the step. The tangent is the derivative of this formula, which for
a radial return is the consistent one of Simo & Taylor (1985, CMAME 48). Plane strain is
the same algebra with ε_33 = 0 and an out-of-plane plastic strain.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.law import Law, PhaseLaw
from lsml.numerics import rows_of
from lsml.physics.responses import Answer, Response
from lsml.physics.tangent_law import TangentLaw
from lsml.typing import Codes, Field, Tags

NORMAL = 3  # components 11 22 33 come first, also in plane strain
IN_PLANE = {3: (0, 1, 3), 6: (0, 1, 2, 3, 4, 5)}  # of 11 22 33 12, and of all


class Internal(NamedTuple):
    """Internal variables at the quadrature points, before a load step.

    Attributes
    ----------
    strain : plastic strain, Mandel: 11 22 33 23 13 12, in plane strain 11 22 33 12.
    accumulated : ∫ √(2/3) ‖dε_p‖.
    """

    strain: Float[Tensor, "b q k *n"]
    accumulated: Float[Tensor, "b q *n"]


class Points(NamedTuple):
    """What one response is asked for: n points, wherever they lie in the batch.

    Attributes
    ----------
    where : among all points.
    moduli : parameters of their phases.
    volume : trace of the elastic strain.
    eta : dev(ε) − ε_p.
    strain : its equivalent.
    accumulated : plastic strain.
    """

    where: Integer[Tensor, " n"]
    moduli: Float[Tensor, "g n"]
    volume: Float[Tensor, " n"]
    eta: Float[Tensor, "k n"]
    strain: Float[Tensor, " n"]
    accumulated: Float[Tensor, " n"]

    def answer(self, response: Response) -> Answer:
        """Of the von Mises stress."""
        return response(self.strain, self.accumulated, self.moduli)

    def secant(self, answer: Answer) -> Float[Tensor, " n"]:
        """σ_eq/ε_eq; 3μ where there is no strain."""
        still = self.strain == 0
        ratio = answer.stress / torch.where(still, 1.0, self.strain)
        return torch.where(still, self.moduli[1], ratio)


@dataclass(frozen=True)
class InelasticLaw(Law):
    """Elastic phases, and others that are elastic in volume.

    Attributes
    ----------
    elastic : labels, stiffness of all phases at small strains, and eigenstrains.
    responses : of the von Mises stress.
    codes : 0 for elastic phases, k for those of the k-th response.
    parameters : of each phase: K, 3μ and those of its response.
    variables : before the step; None if nothing has yielded yet.
    """

    elastic: PhaseLaw
    responses: tuple[Response, ...]
    codes: Integer[Tensor, "t p"]
    parameters: Float[Tensor, "t p g"]
    variables: Internal | None = None
    tags: ClassVar[Tags] = frozenset({"symmetric", "positive", "bounded"})

    @property
    def components(self) -> int:
        """Of a strain: 6, or 3 in plane strain."""
        return self.elastic.components

    @property
    def differentiable(self) -> bool:
        """Whether moduli, parameters or internal variables do."""
        own = [self.parameters, *(self.variables or ())]
        return self.elastic.differentiable or any(t.requires_grad for t in own)

    def initial(self) -> PhaseLaw:
        """The elastic part."""
        return self.elastic

    def select(self, samples: Codes, batch: int) -> "InelasticLaw":
        """Each sample with labels and internal variables of its own."""
        state = self.variables
        return replace(
            self,
            elastic=self.elastic.select(samples, batch),
            codes=rows_of(self.codes, samples, batch),
            parameters=rows_of(self.parameters, samples, batch),
            variables=None if state is None else Internal(*(t[samples] for t in state)),
        )

    def census(self) -> "tuple[InelasticLaw, Float[Tensor, 's *n']] | None":
        """One voxel of each phase; every point a voxel where points differ."""
        if self.variables is None:
            each = self.elastic.census()
            assert each is not None
            return replace(self, elastic=each[0]), each[1]
        strain, accumulated = self.variables
        q, labels = accumulated.shape[1], self.elastic.labels
        every = labels[:, None].expand(-1, q, *labels.shape[1:]).flatten(1)
        flat = Internal(
            strain.transpose(1, 2).flatten(2)[:, None], accumulated.flatten(1)[:, None]
        )
        law = replace(self, elastic=replace(self.elastic, labels=every), variables=flat)
        return law, torch.full_like(every, 1 / every.shape[1], dtype=torch.float64)

    def __call__(self, x: Field) -> Field:
        flux = side_by_side(self.elastic(x), self.components)
        for response, at in self._points(x):
            shear = 2 / 3 * at.secant(at.answer(response))
            stress = spherical(at.moduli[0] * at.volume, at.eta) + shear * at.eta
            flux = flux.index_copy(1, at.where, self._in_plane(stress))
        return as_field(flux, x)

    def tangent(self, x: Field, v: Field) -> Field:
        """σ'(x) v."""
        return self.linearized(x)(v)

    def linearized(self, x: Field) -> TangentLaw:
        """K 1⊗1 + (2/3) (σ/ε) dev + (2/3) (dσ/dε − σ/ε) n⊗n, with n = η/‖η‖."""
        c, like = self.components, side_by_side(x, self.components)
        secant, bend = torch.zeros_like(like[0]), torch.zeros_like(like[0])
        direction = torch.zeros_like(like)
        for response, at in self._points(x):
            answer = at.answer(response)
            now = at.secant(answer)
            secant = secant.index_copy(0, at.where, 2 / 3 * (now - at.moduli[1]))
            bend = bend.index_copy(0, at.where, 2 / 3 * (answer.slope - now))
            unit = at.eta / torch.where(at.strain == 0, 1.0, 1.5**0.5 * at.strain)
            direction = direction.index_copy(1, at.where, self._in_plane(unit))
        b, q = x.shape[0], x.shape[1] // c
        return TangentLaw(
            self.elastic.without_eigenfield(),
            secant.reshape(b, q, 1, *x.shape[2:]),
            bend.reshape(b, q, 1, *x.shape[2:]),
            as_field(direction, x).unflatten(1, (q, c)),
        )

    def energy(self, x: Field) -> Inexact[Tensor, "b q *n"]:
        """The potential of σ: elastic energy, and the plastic work of this step."""
        density = self.elastic.energy(x)
        flat = density.flatten()
        for response, at in self._points(x):
            work = response.work(at.strain, at.accumulated, at.moduli)
            volume = at.moduli[0] * at.volume.square() / 2
            flat = flat.index_copy(0, at.where, volume + work)
        return flat.reshape(density.shape)

    def after(self, x: Field) -> "InelasticLaw":
        """With the plastic flow that has led to x."""
        if not any(response.remembers for response in self.responses):
            return self
        strain, accumulated = self._variables(x)
        shape = x.shape[0], x.shape[1] // self.components, *x.shape[2:]
        for response, at in self._points(x):
            flow = at.answer(response).flow
            share = flow / torch.where(at.strain == 0, 1.0, at.strain)
            strain = strain.index_add(1, at.where, share * at.eta)
            accumulated = accumulated.index_add(0, at.where, flow)
        plastic = strain.unflatten(1, shape).movedim(0, 2)
        return replace(self, variables=Internal(plastic, accumulated.reshape(shape)))

    def internal(self) -> Mapping[str, Inexact[Tensor, "b q *v"]]:
        """Plastic strain and its accumulated norm; nothing before the first flow."""
        if self.variables is None:
            return {}
        strain, accumulated = self.variables
        return {"plastic_strain": strain, "accumulated_plastic_strain": accumulated}

    def remembering(self, variables: Sequence[Tensor]) -> "InelasticLaw":
        """Plastic strain and its accumulated norm."""
        return replace(self, variables=Internal(*variables))

    def _variables(self, x: Field) -> tuple[Tensor, Tensor]:
        """Plastic strain (k, all points) and its accumulated norm (all points)."""
        if self.variables is None:
            nothing = torch.zeros_like(side_by_side(x.detach(), self.components)[0])
            return nothing.expand(1 + max(IN_PLANE[self.components]), -1), nothing
        strain, accumulated = self.variables
        return strain.movedim(2, 0).flatten(1), accumulated.flatten()

    def _points(self, x: Field) -> Iterator[tuple[Response, Points]]:
        """Each response, and the points that answer by it."""
        every = side_by_side(self._elastic_strain(x), self.components)
        rows = self._rows(x)
        codes, table = self.codes.flatten()[rows], self.parameters.flatten(0, 1)
        plastic, total = self._variables(x)
        for code, response in enumerate(self.responses, 1):
            where = (codes == code).nonzero()[:, 0]
            strain = _in_space(every.index_select(1, where))
            volume = strain[:NORMAL].sum(0)
            eta = (
                strain - spherical(volume / 3, strain) - plastic.index_select(1, where)
            )
            square = 2 / 3 * eta.square().sum(0)
            still = square == 0
            size = torch.where(still, 1.0, square).sqrt().masked_fill(still, 0)
            moduli = table.index_select(0, rows[where]).T
            accumulated = total.index_select(0, where)
            yield response, Points(where, moduli, volume, eta, size, accumulated)

    def _rows(self, x: Field) -> Integer[Tensor, " m"]:
        """Where the parameters of each point stand in the table."""
        labels, (t, p) = self.elastic.labels.int(), self.codes.shape
        if t > 1:
            first = p * torch.arange(t, device=labels.device, dtype=labels.dtype)
            labels = labels + first.reshape(-1, *[1] * (labels.ndim - 1))
        each = x.shape[0] * x.shape[1] // (self.components * len(labels))
        return labels[:, None].expand(-1, each, *labels.shape[1:]).flatten()

    def _elastic_strain(self, x: Field) -> Field:
        if self.elastic.eigenfield is None:
            return x
        pairs = zip(self.elastic.columns(x), self.elastic.eigenfields(), strict=True)
        columns = torch.stack([e - free for e, free in pairs], 3)
        return columns.flatten(0, 1).flatten(1, 2)

    def _in_plane(self, tensor: Float[Tensor, "k n"]) -> Float[Tensor, "c n"]:
        """Without 33 in plane strain."""
        return tensor[list(IN_PLANE[self.components])]


def _in_space(strain: Float[Tensor, "c n"]) -> Float[Tensor, "k n"]:
    """With ε_33 = 0 in plane strain."""
    if len(strain) != len(IN_PLANE[3]):
        return strain
    return torch.cat([strain[:2], torch.zeros_like(strain[:1]), strain[2:]])


def spherical(value: Float[Tensor, " n"], like: Float[Tensor, "k n"]) -> Tensor:
    """value · 1."""
    unit = torch.zeros(len(like), 1).to(like)
    unit[:NORMAL] = 1
    return unit * value


def side_by_side(x: Field, c: int) -> Inexact[Tensor, "k m"]:
    """Components of the points of all voxels of all samples."""
    return x.unflatten(1, (-1, c)).movedim(2, 0).flatten(1)


def as_field(columns: Inexact[Tensor, "k m"], like: Field) -> Field:
    """The inverse of ``side_by_side``."""
    b, points = like.shape[0], like.shape[1] // len(columns)
    shaped = columns.unflatten(1, (b, points, *like.shape[2:]))
    return shaped.movedim(0, 2).flatten(1, 2)
