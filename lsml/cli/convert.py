"""``lsml convert``: weights, label images and results from one format to another."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

import lsml.learned
from lsml.cli.learned_checks import plain_errors
from lsml.cli.options import Overwrite
from lsml.cli.outcome import bad_input_exits, check_free
from lsml.cli.outputs import written
from lsml.cli.weights import load_weights
from lsml.data.recipe import check_contrast
from lsml.io.archive import write_json, write_npz
from lsml.io.array_files import raw_layout
from lsml.io.label_files import write_image
from lsml.io.labels import read_image
from lsml.io.saved import holds_results, read_content, read_saved
from lsml.io.vtk import saved_vti
from lsml.io.xdmf import convert_xdmf
from lsml.learned.loading import kind


class Job(NamedTuple):
    """What the command line says."""

    source: Path
    out: Path
    rule: str | None
    contrast: float | None
    dataset: str | None
    sample: int
    raw: str | None

    @property
    def format(self) -> str:
        """Extension of the new file."""
        return self.out.suffix.lower()


class Kind(NamedTuple):
    """A kind of input.

    Attributes
    ----------
    takes : whether a job is of this kind.
    convert : does it, and says what is in the new file.
    """

    takes: Callable[[Job], bool]
    convert: Callable[[Job], str]


def convert(  # noqa: PLR0913 (the command's options)
    source: Annotated[
        Path, typer.Argument(help="Published weights, label image, or result .h5.")
    ],
    out: Annotated[Path, typer.Argument(help="New file; its extension is the format.")],
    rule: Annotated[
        str | None, typer.Option(help="Of weights, if they do not tell: fln or rln-t.")
    ] = None,
    contrast: Annotated[
        float | None, typer.Option(help="Contrast that weights were trained at.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Array of an image, group of a result.")
    ] = None,
    sample: Annotated[int, typer.Option(help="Of a result, for .vti.")] = 0,
    raw: Annotated[
        str | None, typer.Option(metavar="NX,NY,NZ,TYPE[,F]", help="Layout of a .raw.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Weights to .safetensors; labels to another format; results to .vti .xdmf .npz.

    Nothing that is read is executed. Exit status 0 done, 2 bad input.
    """
    with bad_input_exits(), plain_errors():
        if not source.exists():
            raise FileNotFoundError(f"{source} does not exist")
        if source.is_dir():
            raise ValueError(f"{source} is a folder; expected a file")
        for path in written(out) if out.suffix.lower() == ".xdmf" else (out,):
            check_free(path, overwrite or _same(path, source, out))
        job = Job(source, out, rule, contrast, dataset, sample, raw)
        each = next(each for each in KINDS.values() if each.takes(job))
        said = each.convert(job)
    typer.echo(f"{out}: {said}")


def _same(path: Path, source: Path, out: Path) -> bool:
    """Whether a path is the source, to which XDMF adds what it reads."""
    return path != out and path.exists() and path.samefile(source)


def _convert_weights(job: Job) -> str:
    if job.contrast is not None:
        check_contrast(job.contrast)
    made = load_weights(str(job.source), job.rule)
    made.contrast = made.contrast if job.contrast is None else job.contrast
    made.record = dict(made.record) | {"source": job.source.name}
    lsml.learned.save(made, job.out)
    count = sum(p.numel() for p in made.parameters())
    known = "not known" if made.contrast is None else f"{made.contrast:g}"
    return f"{kind(made)}, {count:,} parameters, contrast {known}"


def _convert_image(job: Job) -> str:
    raw = None if job.raw is None else raw_layout(job.raw)
    image = read_image(job.source, job.dataset, raw)
    write_image(image, job.out)
    edges = "" if image.spacing is None else f", edges {_listed(image.spacing)}"
    many = f"{len(image.labels)} images of " if image.batch else ""
    return f"{many}{' × '.join(map(str, image.shape))} voxels{edges}"


def _listed(numbers: Sequence[float]) -> str:
    return " × ".join(f"{h:g}" for h in numbers)


def _to_vti(job: Job) -> str:
    saved_vti(read_saved(job.source, job.dataset), job.out, job.sample)
    return f"fields of sample {job.sample}"


def _to_xdmf(job: Job) -> str:
    file = convert_xdmf(job.source, job.out)
    return f"for ParaView, with {file.with_suffix('.h5')}"


def _to_npz(job: Job) -> str:
    held = read_content(job.source, job.dataset)
    write_npz(held, job.out)
    return f"{len(held.arrays)} arrays"


def _to_json(job: Job) -> str:
    write_json(read_content(job.source, job.dataset), job.out)
    return "numbers without fields"


RESULTS: Mapping[str, Callable[[Job], str]] = {
    ".vti": _to_vti,
    ".xdmf": _to_xdmf,
    ".npz": _to_npz,
    ".json": _to_json,
}
KINDS: Mapping[str, Kind] = {
    "weights": Kind(lambda job: job.format == ".safetensors", _convert_weights),
    "result": Kind(
        lambda job: job.format in RESULTS and holds_results(job.source),
        lambda job: RESULTS[job.format](job),
    ),
    "image": Kind(lambda job: True, _convert_image),
}
