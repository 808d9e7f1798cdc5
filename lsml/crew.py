"""The samples that still run: their problem, their iterate, and what ends them.

Nothing is copied while they all run. A sample that has ended is copied once, into the
ledger; when enough have ended the rest goes on as a smaller batch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsml.bundle import layout_of
from lsml.numerics import keep, keep_memory, memory_like
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, UpdateRule, renewed
from lsml.state import Status
from lsml.stop import Certificate, StopCriterion, unknown_gap
from lsml.typing import Codes, Mask, Memory, PerSample, Vector

BLOW_UP = 1e6  # growth of the error that counts as divergence
PROGRESS = 0.5  # a restart must at least halve the certified error
CROWDED = 0.8  # share of a batch that must run for it to stay as it is


class Verdict(NamedTuple):
    """Per sample: error of iterate k, status, last certified and first error.

    ``gap`` is the last proved, see :class:`lsml.stop.Certificate`.
    """

    error: PerSample
    status: Codes
    certified: PerSample
    first: PerSample
    gap: Float[Tensor, "b 4"]


def opening(x: Vector) -> Verdict:
    """Before the first error: everything runs, nothing is certified."""
    running = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
    never = torch.full((x.shape[0],), torch.inf, dtype=torch.float64, device=x.device)
    return Verdict(never, running, never, never, unknown_gap(len(x), x.device))


@dataclass(frozen=True)
class Crew:
    """Some samples of a batch, with iterate, residual and memory of their rule.

    ``samples`` are their numbers in the whole batch.
    """

    problem: Problem
    stop: StopCriterion
    scale: PerSample
    x: Vector
    memory: Memory
    residual: Residual
    samples: Codes

    def judge(self, whole: Verdict) -> tuple[Verdict, Mask]:
        """Verdict on iterate k, for the whole batch, and whose claim has failed here.

        A claim to have converged, or to be further than a carried residual can be
        trusted, counts only if the total residual, evaluated here, confirms it. One
        that fails without progress since the last is at the limit of rounding.
        """
        last = Verdict(*(part[self.samples] for part in whole))
        running = last.status == Status.RUNNING
        claimed = stop_error(self.problem, self.stop, self.x, self.residual, self.scale)
        known = torch.minimum(last.certified, last.first.nan_to_num(posinf=0.0))
        enough = (self.problem.trust * known).clamp_min(self.stop.tol)
        claims = running & (claimed <= enough)
        error, certified = torch.where(running, claimed, last.error), last.certified
        gap = last.gap
        if bool(claims.any()):
            proof = self.certificate()
            error = torch.where(claims, proof.error, error)
            certified = torch.where(claims, proof.error, certified)
            gap = keep(claims, proof.gap, gap)
        failed = claims & ~(error <= self.stop.tol)
        first = torch.where(last.first.isinf(), error, last.first)
        status = last.status
        for ended, code in (
            (claims & ~failed, self.stop.ending),
            (failed & (error > PROGRESS * last.certified), Status.STAGNATED),
            (error > BLOW_UP * first.clamp_min(1), Status.DIVERGED),
            (~error.isfinite(), Status.NONFINITE),
        ):
            status = torch.where(running & ended, int(code), status)
        here = Verdict(error, status, certified, first, gap)
        return self._entered(whole, here), failed & (status == Status.RUNNING)

    def settle(self, whole: Verdict) -> Verdict:
        """Certify those that were still running when the iterations ended."""
        last = Verdict(*(part[self.samples] for part in whole))
        running = last.status == Status.RUNNING
        if not bool(running.any()):
            return whole
        proof = self.certificate()
        error = torch.where(running, proof.error, last.error)
        gap = keep(running, proof.gap, last.gap)
        return self._entered(whole, last._replace(error=error, gap=gap))

    def certificate(self) -> Certificate:
        """What the total residual, evaluated here, proves."""
        return certify(self.problem, self.stop, self.x, self.scale, self.residual)

    def _entered(self, whole: Verdict, here: Verdict) -> Verdict:
        """Verdict on the whole batch with that on these samples in it."""
        parts = zip(whole, here, strict=True)
        return Verdict(*(a.index_copy(0, self.samples, b) for a, b in parts))

    def restart(self, rule: UpdateRule[Any], failed: Mask, k: int) -> "Crew":
        """The rule begins anew from iterate k of the failed samples."""
        new = renewed(rule, self.problem, self.x, self.memory, k)
        x, memory = blend(failed, new, (self.x, self.memory))
        residual = rule.residual(self.problem, x, memory, k)
        return replace(self, x=x, memory=memory, residual=residual)

    def step(self, rule: UpdateRule[Any], k: int) -> "Crew":
        """From iterate k to the next."""
        it = Iterate(self.x, self.residual, k)
        x, memory = rule.step(self.problem, it, self.memory)
        residual = rule.residual(self.problem, x, memory, k + 1)
        return replace(self, x=x, memory=memory, residual=residual)

    def without_ended(self, running: Mask) -> "Crew":
        """Those that run, or this very crew if it would not become much smaller."""
        stay = running[self.samples]
        if float(stay.double().mean()) > CROWDED:
            return self
        rows = stay.nonzero()[:, 0]
        problem = self.problem.select(rows)
        if problem is None:
            return self
        given = [t for t in self.residual if t is not None]
        x, *rest = _rows([self.x, *given, *self.memory], rows)
        return Crew(
            problem,
            self.stop.select(rows),
            self.scale[rows],
            x,
            memory_like(self.memory, rest[len(given) :]),
            Residual(*rest[: len(given)]),
            self.samples[rows],
        )


def _rows(tensors: Iterable[Tensor], rows: Codes) -> list[Tensor]:
    """Rows of each tensor, taken once from one that occurs twice."""
    taken: dict[int, Tensor] = {}
    given = list(tensors)
    for t in given:
        if id(t) not in taken:
            taken[id(t)] = t[rows]
    return [taken[id(t)] for t in given]


class Ledger:
    """Last iterates of the samples that have ended, and memories if asked for."""

    def __init__(self, memories: bool) -> None:
        self._memories = memories
        self._samples: list[Codes] = []
        self._rows: list[Vector] = []
        self._kept: list[Memory] = []

    def enter(self, crew: Crew, running: Mask) -> None:
        """Copy those that have just ended, unless none goes on to overwrite them."""
        over = ~running[crew.samples]
        if bool(over.all()) or not bool(over.any()):
            return
        for samples in self._samples:
            over = over & ~torch.isin(crew.samples, samples)
        if bool(over.any()):
            self._samples.append(crew.samples[over])
            self._rows.append(crew.x[over])
            if self._memories:
                rows = [t[over] for t in crew.memory]
                self._kept.append(memory_like(crew.memory, rows))

    def vectors(self, crew: Crew) -> Vector:
        """The whole batch, in its order."""
        return self._whole(crew, self._rows, crew.x)

    def memory(self, crew: Crew) -> Memory:
        """The same of the memories; empty if they were not asked for, or not alike."""
        last, alike = crew.memory, layout_of(crew.memory)
        if not self._memories or any(layout_of(m) != alike for m in self._kept):
            return ()
        columns = [[m[i] for m in self._kept] for i in range(len(last))]
        pairs = zip(columns, last, strict=True)
        return memory_like(last, [self._whole(crew, a, b) for a, b in pairs])

    def _whole(self, crew: Crew, ended: Iterable[Tensor], rest: Tensor) -> Tensor:
        """Rows of the samples that have ended, and of the others in the crew."""
        if not self._samples:
            return rest
        over = torch.cat(self._samples)
        others = ~torch.isin(crew.samples, over)
        order = torch.cat([over, crew.samples[others]]).argsort()
        return torch.cat([*ended, rest[others]])[order]


@torch.no_grad()
def stop_error(
    problem: Problem,
    stop: StopCriterion,
    x: Vector,
    residual: Residual,
    scale: PerSample,
) -> PerSample:
    """Error of iterate x, outside of any graph."""
    return stop.error(problem, x, residual, scale).detach()


@torch.no_grad()
def certify(
    problem: Problem,
    stop: StopCriterion,
    x: Vector,
    scale: PerSample,
    carried: Residual | None = None,
) -> Certificate:
    """What the total residual of x proves, evaluated beside the one carried, if any."""
    total = problem.residual(x)
    proof = stop.certificate(problem, x, total, carried or total, scale)
    return Certificate(proof.error.detach(), proof.gap.detach())


def blend(
    active: Mask, new: tuple[Vector, Memory], old: tuple[Vector, Memory]
) -> tuple[Tensor, Memory]:
    """New unknown and memory for the active samples, the old ones for the others."""
    if bool(active.all()):
        return new
    return keep(active, new[0], old[0]), keep_memory(active, new[1], old[1])
