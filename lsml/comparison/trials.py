"""One rule on one problem: records and clocks put together, and read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from lsml.comparison.passes import Record
from lsml.counting import Operations
from lsml.state import Status

Quantity: TypeAlias = Literal["energy", "effective", "residual"]
QUANTITIES: Mapping[str, str] = {
    "energy": "Strain error, energy norm",
    "effective": "Effective stiffness (mean stress)",
    "residual": "Certified residual",
}


@dataclass(frozen=True)
class Trial:
    """One rule on one problem of b samples; NaN stands for what there is not.

    Iterates k run from the start, 0, to the last of the sample that took most.

    Attributes
    ----------
    rule : its name in the comparison.
    problem : its name.
    refusal : why the rule could not be run; then there is nothing else.
    status : how each sample ended, by name of :class:`lsml.Status`.
    iterations, error : steps taken by each sample, and its certified residual.
    residual, energy, effective : of every iterate, see `lsml.comparison.measure`.
    mase : the same for each component of the strain, in percent.
    flops : operations until each iterate, for one sample solved alone.
    seconds : time until the whole batch had each iterate, set-up included; median.
    operations : of the whole solve, mean over the samples; see `lsml.counting`.
    """

    rule: str
    problem: str
    refusal: str
    status: tuple[str, ...]
    iterations: tuple[int, ...]
    error: Float[np.ndarray, " b"]
    residual: Float[np.ndarray, "b k"]
    energy: Float[np.ndarray, "b k"]
    effective: Float[np.ndarray, "b k"]
    mase: Float[np.ndarray, "b k c"]
    flops: Float[np.ndarray, "b k"]
    seconds: Float[np.ndarray, " k"]
    operations: Mapping[str, float]

    @property
    def samples(self) -> int:
        """Number b."""
        return len(self.status)

    def curve(self, quantity: Quantity) -> Float[np.ndarray, "b k"]:
        """One of the errors."""
        curves = {
            "energy": self.energy,
            "effective": self.effective,
            "residual": self.residual,
        }
        return curves[quantity]

    def steps_to(self, quantity: Quantity, goal: float) -> Float[np.ndarray, " b"]:
        """First iterate from which an error stays within a goal; NaN if none does."""
        rows = zip(self.curve(quantity), self.iterations, strict=True)
        return np.array([settled(row[: last + 1], goal) for row, last in rows])

    def at(
        self, values: Float[np.ndarray, "..."], steps: Float[np.ndarray, " b"]
    ) -> Float[np.ndarray, " b"]:
        """Entry of each sample's row (or of the one row) at its own iterate."""
        rows = np.broadcast_to(values, (len(steps), values.shape[-1]))
        found = [
            row[int(k)] if k < len(row) else nan
            for row, k in zip(rows, steps, strict=True)
        ]
        return np.array(found)


def trial_of(
    name: str, problem: str, records: Sequence[Record], clocks: Sequence[list[float]]
) -> Trial:
    """One rule on one problem of as many samples as there are records."""
    states = [record.state for record in records]
    total = Operations()
    for record in records:
        total = total.plus(record.operations[-1], 1 / len(records))
    return Trial(
        rule=name,
        problem=problem,
        refusal="",
        status=tuple(Status(int(state.status)).name for state in states),
        iterations=tuple(int(state.iterations) for state in states),
        error=np.array([float(state.error) for state in states]),
        residual=rows([state.history[:, 0].tolist() for state in states]),
        energy=rows([[e.energy for e in record.errors] for record in records]),
        effective=rows([[e.effective for e in record.errors] for record in records]),
        mase=rows([[e.mase for e in record.errors] for record in records]),
        flops=rows([[o.flops for o in record.operations] for record in records]),
        seconds=medians(clocks, 1 + max(int(state.iterations) for state in states)),
        operations=total._asdict() | {"flops": total.flops},
    )


def refused(name: str, problem: str, why: str) -> Trial:
    """A rule that could not be run."""
    none = np.zeros((0, 0))
    return Trial(
        rule=name,
        problem=problem,
        refusal=why,
        status=(),
        iterations=(),
        error=none.reshape(0),
        residual=none,
        energy=none,
        effective=none,
        mase=np.zeros((0, 0, 0)),
        flops=none,
        seconds=none.reshape(0),
        operations={},
    )


def rows(lists: Sequence[Sequence[object]]) -> Float[np.ndarray, "b k *c"]:
    """One array; NaN after the end of the shorter lists."""
    arrays = [np.asarray(each, dtype=float) for each in lists]
    longest = max(map(len, arrays))
    out = np.full((len(arrays), longest, *arrays[0].shape[1:]), nan)
    for row, values in zip(out, arrays, strict=True):
        row[: len(values)] = values
    return out


def medians(clocks: Sequence[list[float]], length: int) -> Float[np.ndarray, " k"]:
    """Of several clocks, entry by entry; NaN where one was not read so often."""
    if not clocks:
        return np.full(length, nan)
    table = np.full((len(clocks), max(length, *map(len, clocks))), nan)
    for row, clock in zip(table, clocks, strict=True):
        row[: len(clock)] = clock
    return np.median(table, axis=0)[:length]


def settled(errors: Float[np.ndarray, " k"], goal: float) -> float:
    """First entry from which all are within the goal; NaN if the last is not."""
    over = np.flatnonzero(~(errors <= goal))
    first = int(over[-1]) + 1 if len(over) else 0
    return float(first) if first < len(errors) else nan
