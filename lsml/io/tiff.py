"""Stacks of pictures: `.tif` by tifffile (Gohlke).

Pages are layers in z, rows of a page run along y, columns along x; so the array, which
tifffile returns as (z, y, x), is transposed. A single page is an image in x and y.

Voxel edges are read where lsml wrote them, as ``spacing_xyz`` in the description that
tifffile keeps, and where ImageJ wrote them: tags XResolution and YResolution are
pixels per unit there, and ``spacing`` of its description is the distance of the layers.
In other stacks nothing says how far the layers are apart, and resolutions are for
printing.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsml.extras import needed
from lsml.io.image import Found, Wanted, choose, image_like, unreadable

DECODERS = "imagecodecs"  # which tifffile wants for LZW, JPEG and others
COLOUR = "S"  # tifffile's name of the axis of samples per pixel


class Complaints(logging.Filter):
    """Errors that tifffile logs while it reads on, kept instead of shown."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """None is shown."""
        if record.levelno >= logging.ERROR:
            self.messages.append(record.getMessage())
        return False


def read_tiff(wanted: Wanted) -> Found:
    """The stack; a file with several, such as pages of different sizes, wants a name.

    Raises
    ------
    ValueError
        Not a whole TIFF file, colour, more than three axes, or several stacks.
    ImportError
        tifffile is missing; the message names the extra.
    """
    file, reader = wanted.file, _tiff_file()
    with _heard() as heard:
        try:
            with reader(file) as tiff:
                image = _stack(wanted, tiff)
        except RefusedError as error:
            raise ValueError(str(error)) from None
        except Exception as error:  # what decoders raise is beyond counting
            if DECODERS in str(error):
                raise ImportError(
                    f"{file} is compressed in a way that wants {DECODERS}; install it "
                    f"with: pip install {DECODERS}"
                ) from None
            raise unreadable(file, "TIFF file", error) from None
    if heard.messages:
        raise unreadable(file, "TIFF file", heard.messages[0])
    return image


class RefusedError(ValueError):
    """A whole TIFF file that holds no label image."""


def _tiff_file() -> Any:
    with needed("reading .tif files needs tifffile", "files"):
        from tifffile import TiffFile
    return TiffFile


@contextmanager
def _heard() -> Iterator[Complaints]:
    log, heard = logging.getLogger("tifffile"), Complaints()
    log.addFilter(heard)
    try:
        yield heard
    finally:
        log.removeFilter(heard)


def _stack(wanted: Wanted, tiff: Any) -> Found:
    _check_pages(tiff)
    _check_whole(wanted.file, tiff)
    pages = {(page.shape, page.dtype, page.axes) for page in tiff.pages}
    if len(tiff.series) > 1 and len(pages) == 1 and tiff.pages[0].axes == "YX":
        return Found(tiff.asarray(key=slice(None)).T)  # written one by one
    if len(tiff.series) == 1 and len(pages) > 1:  # which tifffile reads as the first
        raise RefusedError(
            f"{wanted.file} is said to be one stack, but has {len(pages)} kinds of "
            "pages; expected one size and type"
        )
    name, stack = _chosen(wanted, {str(k): s for k, s in enumerate(tiff.series)})
    axes, shape = stack.axes, tuple(stack.shape)
    if COLOUR in axes:
        raise RefusedError(
            f"{wanted.file} holds colours (axes {axes}, shape {shape}); expected one "
            "label for each pixel, in grey"
        )
    if not axes.endswith("YX") or len(axes) > 3:
        raise RefusedError(
            f"{wanted.file} has the axes {axes} of shape {shape}; expected YX pages, "
            "or a stack of them"
        )
    _check_order(tiff, stack)
    labels = stack.asarray().T
    return Found(labels, _spacing(tiff, labels.ndim), dataset=name)


def _chosen(wanted: Wanted, stacks: Mapping[str, Any]) -> tuple[str, Any]:
    """The stack asked for; a single one as it is, so that its own trouble is told."""
    kinds = {name: (s.dtype, tuple(s.shape)) for name, s in stacks.items()}
    images = [name for name, kind in kinds.items() if image_like(kind)]
    try:
        name = choose(wanted.file, kinds, wanted.dataset, images or list(stacks))
    except ValueError as error:
        raise RefusedError(str(error)) from None
    return name if len(stacks) > 1 else "", stacks[name]


def _check_pages(tiff: Any) -> None:
    """Refuse pages without an end, each of which names the next."""
    seen: set[int] = set()
    for page in tiff.pages:
        if page.offset in seen:
            raise EOFError("its pages come back to one that was before")
        seen.add(page.offset)


def _check_order(tiff: Any, stack: Any) -> None:
    """Refuse pages that lie elsewhere than tifffile takes them to be.

    It reads stacks of ImageJ and its own in one piece, whatever later pages say.
    """
    if len(tiff.series) > 1 or stack.dataoffset is None:
        return
    for k, page in enumerate(tiff.pages):
        if page.dataoffsets[0] != stack.dataoffset + k * page.nbytes:
            raise EOFError(f"its page {k} is not behind the one before")


def _check_whole(file: Path, tiff: Any) -> None:
    """Refuse data that would lie behind the end of the file."""
    size = file.stat().st_size
    for page in tiff.pages:
        ends = zip(page.dataoffsets, page.databytecounts, strict=True)
        if any(start + count > size for start, count in ends):
            raise EOFError(f"its data end behind its {size} bytes")


def _spacing(tiff: Any, ndim: int) -> tuple[float, ...] | None:
    """Of lsml's files; pixel widths and the distance of layers, of ImageJ's."""
    own = tiff.shaped_metadata[0].get("spacing_xyz") if tiff.is_shaped else None
    if own is not None:
        return tuple(float(h) for h in own)
    if not tiff.is_imagej:
        return None
    tags = tiff.pages[0].tags
    names = ("XResolution", "YResolution")
    if not all(name in tags for name in names):
        return None
    pairs = [tags[name].value for name in names]
    if not all(over for over, _ in pairs):
        return None
    plane = [under / over for over, under in pairs]
    return (*plane, float(tiff.imagej_metadata.get("spacing", 1.0)))[:ndim]
