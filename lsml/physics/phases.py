"""A stiffness per label, as the table that a law reads."""

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Inexact
from torch import Tensor

from lsml.law import Entry
from lsml.physics.moduli import Stiffness, anisotropic

Phase = Stiffness | Tensor | np.ndarray | Sequence[Sequence[float]]
Phases = Sequence[Phase] | Sequence[Sequence[Phase]] | Tensor | np.ndarray
Table: TypeAlias = tuple[Inexact[Tensor, "t p g"], tuple[Entry, ...]]


def phase_table(phases: Phases, ndim: int) -> Table:
    """Stiffness of each phase, shared (t = 1) or one table per sample.

    Raises
    ------
    ValueError
        No phase, tables of different length, or a stiffness of the wrong size.
    """
    if isinstance(phases, (Tensor, np.ndarray)) and phases.ndim not in (3, 4):
        raise ValueError(
            f"phases as an array of shape {tuple(phases.shape)} must be "
            "(p, c, c), or (b, p, c, c) with one table per sample"
        )
    return table_of(phases, partial(fitted, ndim=ndim), "stiffness")


def table_of(phases: Any, read: Callable[[Any], Stiffness], name: str) -> Table:
    """Coefficients of each phase, and their pattern; ``read`` makes one of them.

    An array of phases is read at once, its phases as the samples of one.

    Raises
    ------
    ValueError
        No phase, tables of different length, or whatever ``read`` refuses.
    """
    if isinstance(phases, (Tensor, np.ndarray)):
        return _array(torch.as_tensor(phases), read, name)
    rows = listed(phases, name)
    table = [[read(phase) for phase in row] for row in rows]
    patterns = {s.entries for row in table for s in row}
    if len(patterns) > 1:
        table = [[s.general() for s in row] for row in table]
    entries = table[0][0].entries
    return torch.cat([_row(row) for row in table]), entries


def _array(phases: Tensor, read: Callable[[Any], Stiffness], name: str) -> Table:
    """(p, …) or (b, p, …), where … is () for numbers and (c, c) for matrices."""
    if 0 in phases.shape or phases.ndim == 0:
        raise ValueError(f"phases must list one {name} per label")
    tables = phases if phases.ndim % 2 == 0 else phases[None]
    read_out = read(tables.flatten(0, 1))
    moduli = read_out.moduli.unflatten(0, tuple(tables.shape[:2]))
    return moduli, read_out.entries


def listed(phases: Any, name: str) -> list[list[Any]]:
    """Lists of phases: one for all samples, or one for each.

    Raises
    ------
    ValueError
        No phase, or lists of different length.
    """
    if not isinstance(phases, Sequence) or not phases:
        raise ValueError(f"phases must list one {name} per label")
    nested = all(isinstance(p, (list, tuple)) and _nested(p) for p in phases)
    rows = [list(row) for row in phases] if nested else [list(phases)]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"phases must list one {name} per label, got lists of length "
            f"{sorted(len(row) for row in rows)}"
        )
    return rows


def _nested(row: Sequence[Any]) -> bool:
    """Whether a list holds phases, and not the rows of one matrix."""
    return any(isinstance(p, Stiffness) or np.ndim(p) != 1 for p in row)


def fitted(phase: Phase, ndim: int) -> Stiffness:
    """As a stiffness of the right dimension."""
    if is_dataclass(phase) and not isinstance(phase, Stiffness):
        raise ValueError(
            f"a phase is no stiffness but of kind {type(phase).__name__}: inelastic "
            "phases go to lsml.plasticity, hyperelastic ones to lsml.hyperelasticity"
        )
    stiffness = phase if isinstance(phase, Stiffness) else anisotropic(phase)
    if ndim == 2:
        return stiffness.plane_strain()
    if stiffness.components != 6:
        raise ValueError(
            "a (3, 3) stiffness was given for a 3-D image: give a (6, 6) Mandel matrix"
        )
    return stiffness


def _row(row: list[Stiffness]) -> Inexact[Tensor, "t p g"]:
    moduli = [s.moduli if s.moduli.ndim == 2 else s.moduli[None] for s in row]
    counts = {len(m) for m in moduli} - {1}
    if len(counts) > 1:
        raise ValueError(
            f"phases have moduli for {sorted(counts)} samples: give one value per "
            "sample everywhere, or a single one"
        )
    device = next((m.device for m in moduli if m.device.type != "cpu"), None)
    dtype = moduli[0].dtype
    for m in moduli[1:]:
        dtype = torch.promote_types(dtype, m.dtype)
    samples = max(counts, default=1)
    return torch.stack(
        [m.to(dtype=dtype, device=device).expand(samples, -1) for m in moduli], 1
    )
