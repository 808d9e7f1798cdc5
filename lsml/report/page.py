"""One HTML page for a result file: figures, tables and provenance, all inside of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from lsml.atomic import replacing
from lsml.extras import needed
from lsml.io.quantities import labels_of, leading, quantities
from lsml.io.saved import Saved, groups, read_saved
from lsml.plot.figure import figure_type
from lsml.report.figures import Picture, of_group, of_sample, shown
from lsml.report.tables import Table, statistics, tables

DRAWN = 3  # samples of each result that get figures


@dataclass(frozen=True)
class Sample:
    """Figures of one sample, and what its phases carry."""

    number: int
    status: str
    pictures: Sequence[Picture]
    tables: Sequence[Table]


@dataclass(frozen=True)
class Section:
    """One result of the file."""

    name: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    pictures: Sequence[Picture]
    samples: Sequence[Sample]
    left: int
    provenance: Sequence[tuple[str, str]]


def write_report(path: str | Path, out: str | Path, names: Sequence[str] = ()) -> Path:
    """Write a page about a result file that opens without network and scripts.

    The first three samples of each result get figures, all are in the tables.

    Parameters
    ----------
    path : what :meth:`lsml.Solution.save` wrote.
    out : the page; what is there is replaced.
    names : groups of the file; all by default.

    Raises
    ------
    FileNotFoundError, ValueError, OSError
        No such file, no result of lsml, no such group, or the page cannot be written.
    ImportError
        matplotlib or jinja2 is missing; the message names the extra.
    """
    figure_type()
    page = render(path, names)
    with replacing(out) as temporary:
        temporary.write_text(page, "utf-8")
    return Path(out)


def render(path: str | Path, names: Sequence[str] = ()) -> str:
    """The page as text.

    Raises
    ------
    FileNotFoundError, ValueError, ImportError
        As :func:`write_report`.
    """
    with needed("reports need jinja2", "report"):
        from jinja2 import Environment, StrictUndefined
    known = names or groups(path)
    results = [read_saved(path, name or None) for name in known]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("lsml.report").joinpath("page.html").read_text("utf-8")
    sections = [section(saved) for saved in results]
    return environment.from_string(source).render(
        file=Path(path).name, sections=sections
    )


def section(saved: Saved) -> Section:
    """All that the page says of one result."""
    cases = _cases(saved)
    samples = [_sample(saved, i) for i in range(0, len(saved.status), cases)[:DRAWN]]
    return Section(
        saved.group,
        list(_facts(saved)),
        tables(saved),
        list(of_group(saved)),
        samples,
        len(saved.status) // cases - len(samples),
        list(_provenance(saved)),
    )


def _cases(saved: Saved) -> int:
    """Load cases of each image that show the same: those of an effective tensor."""
    if saved.labels is None or "stiffness" not in saved.numbers:
        return 1
    return len(saved.status) // len(saved.labels)


def _sample(saved: Saved, sample: int) -> Sample:
    found, labels = quantities(saved), labels_of(saved)
    told = (
        []
        if labels is None
        else [
            statistics(quantity, leading(quantity, sample), sample, labels[sample])
            for quantity in shown(found)
        ]
    )
    pictures = list(of_sample(saved, sample))
    return Sample(sample, saved.status[sample], pictures, told)


def _facts(saved: Saved) -> Iterator[tuple[str, str]]:
    """What comes first: rule, size, how it ended."""
    found = quantities(saved)
    shape = next(iter(found.values())).values.shape[2:] if found else ()
    ended = {status: saved.status.count(status) for status in saved.status}
    worst = saved.numbers["error"].max() if "error" in saved.numbers else None
    yield "Rule", str(saved.attributes.get("rule", "–"))
    yield "Voxels", " × ".join(map(str, shape)) or "–"
    yield "Voxel edges", " × ".join(f"{h:g}" for h in saved.spacing)
    yield "Samples", ", ".join(f"{n} {status}" for status, n in ended.items())
    if worst is not None:
        yield "Largest certified error", f"{worst:.2e}"


def _provenance(saved: Saved) -> Iterator[tuple[str, str]]:
    """Everything the file says about where it comes from."""
    yield "file", saved.path.name
    if saved.group:
        yield "group", saved.group
    for key, text in saved.provenance.items():
        yield key.replace("_", " "), text
    for key, value in saved.attributes.items():
        if key not in saved.provenance:
            yield key, _text(value)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
