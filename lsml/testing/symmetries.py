"""Laws about two solves: change the problem, and the answer changes with it."""

from typing import Any

import torch

from lsml.rule import UpdateRule
from lsml.testing.problems import Case
from lsml.testing.trace import (
    Trace,
    demand,
    demand_equal,
    few_steps,
    largest_difference,
    trace,
)

SAME = 1e-10  # of the largest value: rounding of a few steps
SOLVED = 1e-9  # the same for a whole solve, whose rounding grows with its length


def check_permutation(rule: UpdateRule[Any], case: Case) -> None:
    """Permuting the samples permutes the iterates."""
    order = list(range(case.batch))[::-1]
    plain = few_steps(case.problem(rule.reference), rule)
    moved = few_steps(case.take(order).problem(rule.reference), rule)
    law = "permuting the samples must permute their iterates"
    demand_equal(moved.fields(), plain.fields()[:, order], SAME, case.name, law)


def check_batch_equals_single(rule: UpdateRule[Any], case: Case) -> None:
    """A batch of b is b solves: same answers after the same number of iterations."""
    batch = trace(case.problem(rule.reference), rule)
    for i in range(case.batch):
        single = trace(case.take([i]).problem(rule.reference), rule)
        _demand_same_end(batch, single, i, case.name)


def _demand_same_end(batch: Trace, single: Trace, i: int, name: str) -> None:
    law = f"sample {i} of a batch must come out as if it were alone"
    together, alone = batch.fields()[-1, i], single.fields()[-1, 0]
    demand_equal(together, alone, SOLVED, name, law)
    counts = int(batch.state.iterations[i]), int(single.state.iterations[0])
    steps = f"sample {i} takes {counts[0]} iterations in a batch and {counts[1]} alone"
    demand(counts[0] == counts[1], name, steps)
    same = bool(batch.state.status[i] == single.state.status[0])
    demand(same, name, f"sample {i} ends with another status in a batch than alone")


def check_translation(rule: UpdateRule[Any], case: Case) -> None:
    """A periodic translation of the medium translates the field."""
    axes = tuple(range(-(case.labels.ndim - 1), 0))
    shift = tuple(1 + i for i in range(len(axes)))
    plain = few_steps(case.problem(rule.reference), rule)
    moved = few_steps(case.translated(shift).problem(rule.reference), rule)
    law = f"moving the medium by {shift} voxels must move every iterate with it"
    expected = plain.fields().roll(shift, axes)
    demand_equal(moved.fields(), expected, SAME, case.name, law)


def check_unit_scaling(rule: UpdateRule[Any], case: Case) -> None:
    """Other units of strain, stress and length: same iterations, scaled field."""
    strain, stress, length = 3e3, 2.1e11, 1e-6
    plain = trace(case.problem(rule.reference), rule)
    scaled = case.scaled(strain, stress, length)
    other = trace(scaled.problem(rule.reference), rule)
    same = torch.equal(other.state.iterations, plain.state.iterations)
    demand(same, case.name, "iterations must not depend on the units")
    law = "the field must scale with the units of load and moduli"
    demand_equal(
        other.fields()[-1], strain * plain.fields()[-1], SOLVED, case.name, law
    )
    gap = largest_difference(other.error, plain.error)
    demand(gap <= 1e-6, case.name, "relative errors must not depend on the units")
