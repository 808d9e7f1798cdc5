"""``lsml info``: what an image or a result of lsml holds."""

from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.markup import escape

from lsml.cli.images import RawBytes, given_image
from lsml.cli.options import Dataset, Json, Spacing, problem_options
from lsml.cli.outcome import bad_input_exits, print_json, print_table
from lsml.data.description import Description, PhaseDescription, describe
from lsml.io.image import Image
from lsml.io.saved import Saved, read_saved

AXES = "xyz"
HDF5 = (".h5", ".hdf5")
FACTS = ("iterations", "error", "error_bound", "energy")
SHOWN = 4  # samples of a result


def info(
    file: Annotated[
        Path, typer.Argument(help="Any image that lsml reads, or a result of it.")
    ],
    dataset: Dataset = None,
    spacing: Spacing = None,
    raw: RawBytes = None,
    as_json: Json = False,
) -> None:
    """Shape, phases, percolation and two-point statistics of FILE, and its provenance.

    Percolation and statistics are those of a periodic cell. Exit status 2 bad input.
    """
    with bad_input_exits():
        image, result = found(file, dataset, spacing, raw)
        said = None if image is None else describe(image)
    if as_json:
        print_json(summary(file, image, said, result))
        return
    if image is not None and said is not None:
        _tell_image(file, image)
        _tell_phases(image, said)
    if result is not None:
        _tell_result(result)


def found(
    file: Path, dataset: str | None, spacing: str | None, raw: str | None
) -> tuple[Image | None, Saved | None]:
    """The image and the result in a file; at least one of them.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        Neither.
    """
    edges = problem_options(1.0, None, spacing).get("spacing")
    try:
        image = given_image(file, dataset, raw, edges)
    except ValueError:
        result = _result(file, dataset)  # waves, for one, have no labels
        if result is None or result.labels is not None:
            raise
        return None, result
    group = image.dataset.rpartition("/")[0]
    return image, _result(file, group) if image.layout == "lsml" else None


def _result(file: Path, group: str | None) -> Saved | None:
    if file.suffix.lower() not in HDF5:
        return None
    try:
        return read_saved(file, group)
    except (ValueError, OSError):
        return None


def summary(
    file: Path, image: Image | None, said: Description | None, result: Saved | None
) -> dict[str, object]:
    """What a program wants to know; null is what is not known."""
    values: dict[str, object] = {"file": str(file)}
    if image is not None and said is not None:
        values |= {
            "dataset": image.dataset,
            "layout": image.layout,
            "shape": list(image.shape),
            "samples": len(image.labels) if image.batch else 1,
            "dtype": str(image.labels.dtype),
            "spacing": _finite(image.spacing),
            "origin": _finite(image.origin),
            "phases": [_row(phase) for phase in said.phases],
        }
    return values | {"result": None if result is None else _facts(result)}


def _row(phase: PhaseDescription) -> dict[str, object]:
    stats, across = phase.two_point, phase.percolates
    return {
        "label": phase.label,
        "phase": phase.phase,
        "voxels": phase.voxels,
        "fraction": phase.fraction,
        "percolates": None if across is None else list(across),
        "correlation_lengths": None if stats is None else _finite(stats.lengths),
        "surface": None if stats is None else stats.surface,
    }


def _facts(result: Saved) -> dict[str, object]:
    numbers = {k: result.numbers[k] for k in FACTS if k in result.numbers}
    return {
        "group": result.group,
        "rule": str(result.attributes.get("rule", "")),
        "status": list(result.status),
        **{name: _finite(values.ravel()) for name, values in numbers.items()},
        "fields": {name: list(values.shape) for name, values in result.fields.items()},
        "provenance": dict(result.provenance),
    }


def _finite(values: Sequence[float] | np.ndarray | None) -> list[float | None] | None:
    """For JSON, which has no number for what is not finite."""
    if values is None:
        return None
    plain = np.asarray(values).tolist()
    return [value if isfinite(value) else None for value in plain]


def _tell_image(file: Path, image: Image) -> None:
    facts = [
        ("dataset", escape(image.dataset)),
        ("layout", image.layout),
        ("voxels", " × ".join(map(str, image.shape))),
        ("samples", str(len(image.labels)) if image.batch else ""),
        ("type", str(image.labels.dtype)),
        ("voxel edges", _shown(image.spacing) if image.spacing else "not in the file"),
        ("origin", _shown(image.origin) if image.origin else ""),
    ]
    rows = [[name, value] for name, value in facts if value]
    print_table(escape(str(file)), ["image", ""], rows)


def _tell_phases(image: Image, said: Description) -> None:
    """The largest first where there are many."""
    ndim = len(image.shape)
    phases = sorted(said.phases, key=lambda p: p.percolates is None)
    of = " of the first sample" if image.batch else ""
    print_table(
        f"{len(phases)} labels; percolation over faces{of}, lengths of correlation and "
        "surface per volume",
        ["label", "phase", "voxels", "fraction", "percolates"]
        + [f"length {axis}" for axis in AXES[:ndim]]
        + ["surface"],
        [
            [str(p.label), str(p.phase), str(p.voxels), f"{p.fraction:.4g}", *_close(p)]
            for p in phases
        ],
    )
    if said.missing:
        typer.echo(f"lsml: {said.missing}", err=True)


def _close(phase: PhaseDescription) -> Iterator[str]:
    across, stats = phase.percolates, phase.two_point
    if across is None:
        return
    yield "".join(AXES[k] for k, yes in enumerate(across) if yes) or "nowhere"
    if stats is not None:
        yield from (f"{v:.4g}" if isfinite(v) else "-" for v in stats.lengths)
        yield f"{stats.surface:.4g}"


def _tell_result(result: Saved) -> None:
    rows = [["status", _some(list(result.status))]]
    rule = str(result.attributes.get("rule", ""))
    rows += [["rule", rule]] if rule else []
    for name in FACTS:
        if name in result.numbers:
            shown = [f"{value:.4g}" for value in result.numbers[name].ravel().tolist()]
            rows.append([name.replace("_", " "), _some(shown)])
    for name, values in result.fields.items():
        rows.append([name, " × ".join(map(str, values.shape))])
    rows += [[name, text] for name, text in result.provenance.items() if name != "rule"]
    cells = [[escape(cell) for cell in row] for row in rows]
    where = f", group {result.group}" if result.group else ""
    print_table(f"Result of lsml{where}", ["result", ""], cells)


def _some(values: Sequence[str]) -> str:
    more = [f"and {len(values) - SHOWN} more"] if len(values) > SHOWN else []
    return ", ".join([*values[:SHOWN], *more])


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
