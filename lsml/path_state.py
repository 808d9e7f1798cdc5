"""What a load path must remember between two steps, and its file.

Datasets, after T steps of b samples with c components:

==========================  ===========  =============================================
mean_strain, mean_stress    (T, b, c)    volume averages at the end of each step
status, iterations          (T, b)       codes of :class:`lsml.Status`
error                       (T, b)       certified relative residual
history                     (T, b, k)    relative residual of each iterate, NaN behind
load_field, load_flux       (T, b, c)    prescribed means, 0 where they are not
load_free                   (T, b, c)    1 where the mean flux is prescribed
last, before                (b, *v)      unknown less x̄, of the last two steps
variables_0, ...            (b, q, *v)   internal variables at the quadrature points
==========================  ===========  =============================================
"""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from lsml.io.checkpoint import read_tensors, write_tensors
from lsml.law import Law
from lsml.macro_load import MacroLoad
from lsml.solution import Solution
from lsml.typing import Codes, PerSample, Vector

FORMAT = "lsml load path 1"


class Record(NamedTuple):
    """What is kept of a step."""

    mean_strain: Inexact[Tensor, "b c"]
    mean_stress: Inexact[Tensor, "b c"]
    status: Codes
    iterations: Codes
    error: PerSample
    history: Float[Tensor, "b k"]

    @classmethod
    def of(cls, solution: Solution) -> "Record":
        """Of its solution; the error behind a sample's end is NaN."""
        history, ends = solution.history.detach(), solution.iterations[:, None]
        behind = torch.arange(history.shape[1], device=history.device) > ends
        return cls(
            solution.mean_strain,
            solution.mean_stress,
            solution.status,
            solution.iterations,
            solution.error,
            history.masked_fill(behind, torch.nan),
        )


class State(NamedTuple):
    """Between two steps.

    Attributes
    ----------
    law : with its internal variables.
    last, before : deviation from x̄ of the last two answers.
    records : of all steps so far.
    """

    law: Law
    last: Vector | None
    before: Vector | None
    records: list[Record]


def stacked(records: list[Record]) -> Record:
    """All steps in one, as tensors with the step first."""
    longest = max(r.history.shape[1] for r in records)
    *columns, histories = zip(*records, strict=True)
    padded = [
        torch.nn.functional.pad(h, (0, longest - h.shape[1]), value=torch.nan)
        for h in histories
    ]
    means = [torch.stack(list(column)) for column in columns]
    return Record._make([*means, torch.stack(padded)])


def save_state(
    file: str | Path, owner: str, state: State, loads: list[MacroLoad]
) -> None:
    """Replace the file of a path.

    Raises
    ------
    OSError
        It cannot be written; that of the step before is still there.
    """
    assert state.last is not None
    steps = stacked(state.records)
    data = dict(zip(Record._fields, steps, strict=True))
    data |= _prescribed(loads[: len(state.records)])
    data["last"] = state.last
    if state.before is not None:
        data["before"] = state.before
    data |= {f"variables_{i}": v for i, v in enumerate(state.law.internal().values())}
    write_tensors(file, data, FORMAT, owner)


def load_state(
    file: str | Path, owner: str, begin: State, loads: list[MacroLoad]
) -> State:
    """The state that a file holds; ``begin`` if there is none.

    Raises
    ------
    ValueError
        It is no file of this path.
    """
    data = read_tensors(file, FORMAT, owner)
    if data is None:
        return begin
    done = len(data["status"])
    if done > len(loads):
        raise ValueError(f"{file} holds {done} steps, {len(loads)} loads are given")
    for name, given in _prescribed(loads[:done]).items():
        if not torch.equal(given.cpu(), data[name]):
            far = (given.cpu() != data[name]).flatten(1).any(1)
            step = int(far.nonzero()[0]) if given.shape == data[name].shape else 0
            raise ValueError(f"{file} is of another path: step {step} had another load")
    place = loads[0].field.device
    kept = {name: values.to(place) for name, values in data.items()}
    rows = zip(*(kept[name] for name in Record._fields), strict=True)
    records = [Record(*row) for row in rows]
    variables = [kept[f"variables_{i}"] for i in range(_count(kept))]
    law = begin.law.remembering(variables) if variables else begin.law
    return State(law, kept["last"], kept.get("before"), records)


def _count(data: dict[str, Tensor]) -> int:
    return sum(name.startswith("variables_") for name in data)


def _prescribed(loads: list[MacroLoad]) -> dict[str, Tensor]:
    fields, fluxes, free = (torch.stack(list(t)) for t in zip(*loads, strict=True))
    return {"load_field": fields, "load_flux": fluxes, "load_free": free}
