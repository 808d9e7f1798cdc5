"""Learned iterations as update rules: what they see of a problem, and what they give.

A learned rule works on fields in the unit of the mean strain. It predicts one component
of the strain, or all; the driver gets the compatible field that belongs to it, so that
the certified error, stresses and any rule that goes on from there mean what they say.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from lsml.problem import Problem, Residual, Specimen
from lsml.rule import Iterate, arithmetic
from lsml.typing import Field, Mean, Memory, Tags, Vector

ALIKE = 1e-3  # relative difference of two contrasts that are the same


class LearnedRule(nn.Module, ABC):
    """An :class:`lsml.UpdateRule` whose steps come from data.

    Phases are told apart by their stiffness, the softest first, whatever their labels.

    Attributes
    ----------
    passes : steps N after which it is complete.
    phases : how many a microstructure must have.
    components : places of the predicted components in a Mandel vector.
    load : component of the mean strain that it is trained under.
    parts : tensors in its memory.
    contrast : stiffest over softest phase of the data; None if that is not known.
    record : how it was made, in words and numbers that JSON can hold.
    """

    passes: int
    phases: int
    components: tuple[int, ...]
    load: int = 0
    parts: int
    contrast: float | None = None
    record: Mapping[str, Any] = MappingProxyType({})
    requires: Tags = frozenset({"compatible"})

    @property
    def reference(self) -> Mean:
        """Arithmetic midrange, for the certified error only."""
        return arithmetic

    @property
    def loaded(self) -> int:
        """Which of the predicted components is the one of the load.

        Raises
        ------
        ValueError
            It is not predicted, so that there is no MASE.
        """
        if self.load not in self.components:
            raise ValueError(
                f"{type(self).__name__} predicts the components {self.components} of "
                f"the strain, but not that of its load, {self.load}"
            )
        return self.components.index(self.load)

    @property
    def device(self) -> torch.device:
        """Where its weights, or its kernel, are."""
        held = chain(self.parameters(), self.buffers())
        return next(held, torch.empty(0)).device

    @abstractmethod
    def amplitudes(self, mean: Float[Tensor, "b c"]) -> Float[Tensor, "b l"]:
        """Share of each load case that the rule knows in the mean strain.

        Raises
        ------
        ValueError
            The mean strain is not made of these load cases.
        """

    @abstractmethod
    def begin(
        self,
        labels: Integer[Tensor, "b *n"],
        amplitudes: Float[Tensor, "b l"],
        field: Field | None = None,
    ) -> Memory:
        """Memory before the first pass.

        Parameters
        ----------
        labels : rank of the phase in each voxel, 0 the softest.
        field : predicted components to start from, in strain units; uniform if None.
        """

    @abstractmethod
    def advance(self, memory: Memory, k: int) -> Memory:
        """Pass k."""

    @abstractmethod
    def output(self, memory: Memory) -> Field:
        """Predicted components (b, o, *n), in strain units."""

    def forward(self, labels: Integer[Tensor, "b *n"]) -> Float[Tensor, "b k o *n"]:
        """Output of every pass under a load case of unit amplitude."""
        memory = self.begin(labels, self.unit(labels))
        outputs = []
        for k in range(self.passes):
            memory = self.advance(memory, k)
            outputs.append(self.output(memory))
        return torch.stack(outputs, 1)

    def unit(self, labels: Integer[Tensor, "b *n"]) -> Float[Tensor, "b l"]:
        """The load case of unit amplitude, for each sample."""
        return torch.ones(len(labels), 1, device=labels.device)

    def examine(self, problem: Problem) -> None:
        """Refuse phases, load, components, axes or a device that it was not made for.

        Raises
        ------
        ValueError
            With what it was made for.
        """
        specimen = self._specimen(problem)
        self.begin(ranks(specimen), self.amplitudes(specimen.mean))

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Memory]:
        """Look at microstructure and load, and take the field of x for y_0."""
        specimen = self._specimen(problem)
        self._compare(specimen)
        field = problem.whole(problem.voxel_field(x)[:, list(self.components)])
        labels = ranks(specimen)
        return x, self.begin(labels, self.amplitudes(specimen.mean), field)

    def residual(self, problem: Problem, x: Vector, memory: Memory, k: int) -> Residual:
        """Total: nothing is carried."""
        return problem.residual(x)

    def step(
        self, problem: Problem, it: Iterate, memory: Memory
    ) -> tuple[Vector, Memory]:
        """One pass, and the compatible field that belongs to its output."""
        memory = self.advance(memory, min(it.k, self.passes - 1))
        field = problem.part(self.output(memory).to(it.x.dtype))
        return completed(problem, field, self.components), memory

    def _specimen(self, problem: Problem) -> Specimen:
        """What the problem shows, if the rule can make something of it."""
        specimen, name = problem.specimen(), type(self).__name__
        if specimen is None:
            raise ValueError(
                f"{name} needs labels, phases without eigenstrain and a prescribed "
                "mean strain; this problem has something else"
            )
        phases, c = specimen.image.table.shape[1:3]
        if specimen.image.table.is_complex():
            raise ValueError(f"{name} was made for real phases; these are complex")
        if phases != self.phases:
            raise ValueError(
                f"{name} was made for {self.phases} phases; this problem has {phases}"
            )
        known = [(i,) for i in range(c)] + [tuple(range(c))]
        if self.components not in known:
            raise ValueError(
                f"{name} predicts components {self.components} of {c}: one or all"
            )
        return specimen

    def _compare(self, specimen: Specimen) -> None:
        """Warn about a contrast that the rule has not learned."""
        if self.contrast is None:
            return
        stiffness = stiffnesses(specimen)
        found = stiffness.amax(1) / stiffness.amin(1)
        for value in found.unique().tolist():
            if abs(value / self.contrast - 1) > ALIKE:
                warnings.warn(
                    f"{type(self).__name__} was trained at contrast {self.contrast:g} "
                    f"and is asked to predict at contrast {value:g}",
                    stacklevel=2,
                )


def completed(problem: Problem, field: Field, components: tuple[int, ...]) -> Vector:
    """The compatible unknown of predicted components, one or all, in strain units."""
    if len(components) == 1:
        return problem.from_component(field[:, 0], components[0])
    return problem.admit(problem.enter(field))


def stiffnesses(specimen: Specimen) -> Float[Tensor, "b p"]:
    """One number per phase: the trace of its stiffness."""
    return specimen.image.table.detach().diagonal(dim1=-2, dim2=-1).sum(-1)


def ranks(specimen: Specimen) -> Integer[Tensor, "b *n"]:
    """Place of the phase of each voxel among those of its sample, the softest first."""
    place = stiffnesses(specimen).argsort(dim=1, stable=True).argsort(1)
    labels = specimen.image.labels
    return place.gather(1, labels.flatten(1).long()).view_as(labels)


def single(mean: Float[Tensor, "b c"], load: int, name: str) -> Float[Tensor, "b one"]:
    """The mean strain in one component, which must be all there is.

    Raises
    ------
    ValueError
        It has others, or not this one.
    """
    others = [c for c in range(mean.shape[1]) if c != load]
    if bool(mean[:, others].any()) or not bool(mean[:, load].all()):
        raise ValueError(
            f"{name} was trained under a mean strain in component {load} alone (of the "
            f"Mandel vector, from 0); this load is {mean[0].tolist()}"
        )
    return mean[:, load, None]


def indicators(labels: Integer[Tensor, "b *n"], phases: int) -> Float[Tensor, "b h *n"]:
    """1 where a voxel is of the phase, 0 elsewhere, a channel for each phase."""
    return torch.stack([labels == h for h in range(phases)], 1).float()
