"""The images of a batch: files, those of a folder or a pattern, or a stack in one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsml.io.image import Image, Labels, Raw
from lsml.io.labels import READERS, read_image

PATTERN = frozenset("*?[")
STACKED = 4  # axes of several 3-D images in one file


@dataclass(frozen=True)
class Volume:
    """One image: in a file of its own, or taken out of a stack.

    Attributes
    ----------
    name : by which it is known in the table.
    file : that holds it.
    image : the image itself where the file holds several.
    """

    name: str
    file: Path
    image: Image | None = None

    def __str__(self) -> str:
        """Its name."""
        return self.name

    @property
    def stamp(self) -> str:
        """Size and time of its file: whether it is still the same."""
        try:
            found = self.file.stat()
        except OSError:
            return ""
        return f"{found.st_size} {found.st_mtime_ns}"


def volumes_of(
    files: Sequence[Path], dataset: str | None = None, raw: Raw | None = None
) -> list[Volume]:
    """Each image once, in the order of the files and of their names in a folder.

    A single file may hold a stack, (s, x, y, z) or as lsml writes batches.

    Raises
    ------
    ValueError
        A folder or a pattern without images, or a single file that is none.
    FileNotFoundError
        A file is not there.
    """
    found = list(dict.fromkeys(name for file in files for name in _files(file)))
    if len(found) == 1:
        return _inside(found[0], dataset, raw)
    return [Volume(file.as_posix(), file) for file in found]


def labels_of(image: Image, file: Path) -> Labels:
    """Of a file that must hold one image.

    Raises
    ------
    ValueError
        It holds several.
    """
    if image.batch or image.labels.ndim == STACKED:
        raise ValueError(
            f"{file} holds {len(image.labels)} images; a stack is a batch of its own"
        )
    return image.labels


def _files(given: Path) -> Iterator[Path]:
    if given.is_dir():
        among = sorted(given.iterdir())
        found = [file for file in among if file.suffix.lower() in READERS]
        kinds = ", ".join(READERS)
        _check(found, f"the folder {given} holds no image; expected {kinds}")
    elif given.exists() or not PATTERN & set(str(given)):
        if not given.exists():
            raise FileNotFoundError(f"{given} does not exist")
        found = [given]
    else:
        start = Path(given.anchor) if given.is_absolute() else Path()
        pattern = given.relative_to(start).as_posix()
        found = sorted(file for file in start.glob(pattern) if file.is_file())
        _check(found, f"the pattern {given} names no file")
    yield from found


def _check(found: Sequence[Path], sentence: str) -> None:
    if not found:
        raise ValueError(sentence)


def _inside(file: Path, dataset: str | None, raw: Raw | None) -> list[Volume]:
    image = read_image(file, dataset, raw)
    if not image.batch and image.labels.ndim != STACKED:
        return [Volume(file.as_posix(), file)]
    return [
        Volume(
            f"{file.as_posix()}[{k}]",
            file,
            Image(labels, image.spacing, image.origin, image.dataset, image.layout),
        )
        for k, labels in enumerate(image.labels)
    ]
