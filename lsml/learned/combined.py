"""Rules made of several predictions: over symmetries, over load cases, over ensembles.

    y = Σ_j w_j T_j⁻¹ f_j(T_j m; ε̄_j)

with f_j a rule, T_j a symmetry of the grid, ε̄_j one component of the mean strain and
w_j a share. Each term goes its own way from pass to pass; only outputs are mixed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor, nn

from lsml.learned.rule import LearnedRule, single
from lsml.mandel import PAIRS, components
from lsml.typing import Field, Memory


@dataclass(frozen=True)
class Turn:
    """A symmetry of the grid: new axis a is old axis ``order[a]``, or its reverse."""

    order: tuple[int, ...]
    reverse: tuple[bool, ...]

    def forth(self, v: Tensor, ahead: int) -> Tensor:
        """Turn arrays whose spatial axes come after ``ahead`` others."""
        turned = v.permute(*range(ahead), *(ahead + a for a in self.order))
        return turned.flip([ahead + a for a, flip in enumerate(self.reverse) if flip])

    def back(self, v: Tensor, ahead: int) -> Tensor:
        """The inverse of ``forth``."""
        v = v.flip([ahead + a for a, flip in enumerate(self.reverse) if flip])
        axes = range(len(self.order))
        return v.permute(*range(ahead), *(ahead + self.order.index(a) for a in axes))

    def component(self, c: int) -> tuple[int, float]:
        """Where a Mandel component goes, and the sign it gets."""
        places = sorted(self.order.index(i) for i in PAIRS[len(self.order)][c])
        flips = sum(self.reverse[a] for a in places)
        return PAIRS[len(self.order)].index((places[0], places[1])), (-1.0) ** flips


def turns(ndim: int) -> Iterator[Turn]:
    """All 2ᵈ d! symmetries of a cubic cell, the identity first."""
    for order in permutations(range(ndim)):
        for reverse in product((False, True), repeat=ndim):
            yield Turn(order, reverse)


class Term(NamedTuple):
    """One prediction.

    Attributes
    ----------
    rule : its number.
    turn : what is done to the microstructure first, and undone afterwards.
    load : the component of the mean strain that it answers.
    share : weight in the output.
    """

    rule: int
    turn: Turn
    load: int
    share: float


class Combined(LearnedRule):
    """A weighted sum of predictions by rules of one kind."""

    alike: ClassVar[tuple[str, ...]] = ("passes", "phases", "components", "contrast")

    def __init__(self, rules: Sequence[LearnedRule], terms: Sequence[Term]) -> None:
        super().__init__()
        first = rules[0]
        for rule in rules:
            for name in self.alike:
                mine, other = getattr(first, name), getattr(rule, name)
                if mine != other:
                    raise ValueError(
                        f"rules with {name} = {mine} and {other} cannot be combined"
                    )
        self.rules, self.terms = nn.ModuleList(rules), list(terms)
        self.loads = sorted({term.load for term in terms})
        self.load = self.loads[0]
        self.passes, self.phases = first.passes, first.phases
        self.components, self.contrast = first.components, first.contrast
        self.parts = sum(self._rule(term).parts for term in terms)

    def amplitudes(self, mean: Float[Tensor, "b c"]) -> Float[Tensor, "b l"]:
        """The components of the mean strain that some term answers."""
        if len(self.loads) == 1:
            return single(mean, self.load, type(self).__name__)
        others = [c for c in range(mean.shape[1]) if c not in self.loads]
        if bool(mean[:, others].any()):
            raise ValueError(
                f"{type(self).__name__} answers to the components {self.loads} of the "
                f"mean strain (of the Mandel vector, from 0); this load is "
                f"{mean[0].tolist()}"
            )
        return mean[:, self.loads]

    def begin(
        self,
        labels: Integer[Tensor, "b *n"],
        amplitudes: Float[Tensor, "b l"],
        field: Field | None = None,
    ) -> Memory:
        """That of all terms, one after the other."""
        given = field if len(self.loads) == 1 else None
        memory: list[Tensor] = []
        for term in self.terms:
            _, sign = term.turn.component(term.load)
            amplitude = sign * amplitudes[:, self.loads.index(term.load), None]
            image = term.turn.forth(labels, 1)
            turned = None if given is None else self._forth(term, given)
            memory += self._rule(term).begin(image, amplitude, turned)
        return tuple(memory)

    def advance(self, memory: Memory, k: int) -> Memory:
        """Pass k of every term."""
        new: list[Tensor] = []
        for term, own in self._each(memory):
            new += self._rule(term).advance(own, k)
        return tuple(new)

    def output(self, memory: Memory) -> Field:
        """The weighted sum."""
        terms = self._each(memory)
        return sum(t.share * self._back(t, own) for t, own in terms)  # type: ignore[return-value]

    def deviation(self, memory: Memory) -> Field:
        """Standard deviation of the terms about the output, per voxel."""
        mean = self.output(memory)
        total = sum(term.share for term in self.terms)
        squares = [
            term.share / total * (self._back(term, own) - mean / total).square()
            for term, own in self._each(memory)
        ]
        return torch.stack(squares).sum(0).sqrt()

    def unit(self, labels: Integer[Tensor, "b *n"]) -> Float[Tensor, "b l"]:
        """The first load case, and nothing of the others."""
        ones = [float(load == self.load) for load in self.loads]
        return torch.tensor(ones, device=labels.device).expand(len(labels), -1)

    def _rule(self, term: Term) -> LearnedRule:
        rule = self.rules[term.rule]
        assert isinstance(rule, LearnedRule)
        return rule

    def _each(self, memory: Memory) -> Iterator[tuple[Term, Memory]]:
        start = 0
        for term in self.terms:
            count = self._rule(term).parts
            yield term, memory[start : start + count]
            start += count

    def _forth(self, term: Term, field: Field) -> Inexact[Tensor, "b c *m"]:
        """Predicted components as the turned microstructure has them."""
        turned, parts = term.turn.forth(field, 2), [field[:, 0]] * len(self.components)
        for old, c in enumerate(self.components):
            place, sign = term.turn.component(c)
            parts[self.components.index(place)] = sign * turned[:, old]
        return torch.stack(parts, 1)

    def _back(self, term: Term, own: Memory) -> Field:
        """The output of one term, turned back."""
        turned, parts = self._rule(term).output(own), []
        for c in self.components:
            place, sign = term.turn.component(c)
            parts.append(sign * turned[:, self.components.index(place)])
        return term.turn.back(torch.stack(parts, 1), 2)


class Symmetrized(Combined):
    """The mean of a rule's predictions over the symmetries of its load.

    Kelly & Kalidindi's load case is left as it is by 16 of the 48 symmetries of the
    cube, which a network does not know of; the mean over them does.

    Parameters
    ----------
    rule : an RLN, FLN or MKS of one component of a Mandel vector, or of all.
    ndim : axes of the grid.
    """

    def __init__(self, rule: LearnedRule, ndim: int = 3) -> None:
        kept = [t for t in turns(ndim) if self._keeps(t, rule)]
        share = 1.0 / len(kept)
        super().__init__([rule], [Term(0, t, rule.load, share) for t in kept])

    @staticmethod
    def _keeps(turn: Turn, rule: LearnedRule) -> bool:
        """Whether load and predicted components stay among themselves."""
        places = {turn.component(c)[0] for c in rule.components}
        return turn.component(rule.load)[0] == rule.load and places == set(
            rule.components
        )


class Superposed(Combined):
    """All load cases of the linear problem from one rule for tension and one for shear.

    A rule for ε̄_11 answers to ε̄_22 by an exchange of axes, and one for a shear strain
    to the other shear strains; the strain of any load is the sum.

    Parameters
    ----------
    tension, shear : rules that predict all components, under a normal and under a shear
        component of the mean strain.
    ndim : axes of the grid.
    """

    def __init__(self, tension: LearnedRule, shear: LearnedRule, ndim: int = 3) -> None:
        c = components(ndim)
        rules = (tension, shear)
        for rule, name, loads in (
            (tension, "tension", range(ndim)),
            (shear, "shear", range(ndim, c)),
        ):
            if rule.components != tuple(range(c)) or rule.load not in loads:
                raise ValueError(
                    f"the rule for {name} must predict all {c} components under one of "
                    f"the mean strains {list(loads)}; it predicts {rule.components} "
                    f"under {rule.load}"
                )
        terms = []
        for load in range(c):
            number = 0 if load < ndim else 1
            wanted = rules[number].load
            turn = next(t for t in turns(ndim) if t.component(load)[0] == wanted)
            terms.append(Term(number, turn, load, 1.0))
        super().__init__(rules, terms)


class Ensemble(Combined):
    """The mean of rules trained from different weights; `deviation` is their spread.

    Lakshminarayanan, Pritzel & Blundell (2017, NeurIPS).
    """

    alike = (*Combined.alike, "load")

    def __init__(self, rules: Sequence[LearnedRule], ndim: int = 3) -> None:
        if len(rules) < 2:
            raise ValueError(f"an ensemble needs two rules or more, got {len(rules)}")
        same, share = Turn(tuple(range(ndim)), (False,) * ndim), 1.0 / len(rules)
        terms = [Term(i, same, rule.load, share) for i, rule in enumerate(rules)]
        super().__init__(rules, terms)


class MonteCarlo(Ensemble):
    """The mean over draws of the dropout of one rule (Gal & Ghahramani 2016, ICML).

    Draws come from PyTorch's generator and differ from call to call.

    Parameters
    ----------
    rule : with a network that has dropout, such as ``VNet(..., dropout=0.1)``.
    draws : how many.
    """

    def __init__(self, rule: LearnedRule, draws: int = 16, ndim: int = 3) -> None:
        super().__init__([rule] * draws, ndim)
        if not self._dropping():
            raise ValueError("MonteCarlo needs a network with dropout; this has none")
        self.eval()

    def train(self, mode: bool = True) -> "MonteCarlo":
        """Dropout stays on, in prediction too."""
        super().train(mode)
        for module in self._dropping():
            module.train()
        return self

    def _dropping(self) -> list[nn.Module]:
        kind = nn.modules.dropout._DropoutNd
        return [m for m in self.modules() if isinstance(m, kind) and m.p > 0]
