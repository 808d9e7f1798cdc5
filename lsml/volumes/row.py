"""What is known of one image of many, in numbers that JSON has."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TypeAlias

Numbers: TypeAlias = tuple[float, ...]
Matrix: TypeAlias = tuple[Numbers, ...]

SOLVED = ("CONVERGED", "PREDICTED", "COMPLETED")
REFUSED, LOST, FAILED = "REFUSED", "LOST", "FAILED"  # without a result


@dataclass(frozen=True)
class Row:
    """Effective stiffness of an image, or why there is none.

    Attributes
    ----------
    image : file, with the place of the image in it behind where there are several.
    status : of :class:`lsml.state.Status`, the worst of the load cases; ``"REFUSED"``
        where the image is none that can be solved, ``"LOST"`` where the processes that
        worked on it died or hung, ``"FAILED"`` for an error that nobody expected.
    message : what is wrong; empty where nothing is.
    labels : that stand for phase 0 and 1.
    fractions : of their volumes.
    stiffness, lower, upper : (c, c), (c) and (c), as
        :class:`lsml.effective.EffectiveStiffness` has them.
    E, nu, G : (d), (d, d) and moduli of shear; engineering constants.
    iterations : of each load case.
    seconds : of the solve.
    """

    image: str
    status: str
    message: str = ""
    labels: tuple[int, ...] = ()
    fractions: Numbers = ()
    stiffness: Matrix = ()
    lower: Numbers = ()
    upper: Numbers = ()
    E: Numbers = ()
    nu: Matrix = ()
    G: Numbers = ()
    iterations: tuple[int, ...] = ()
    seconds: float = 0.0

    @property
    def solved(self) -> bool:
        """Whether there is a result, and nothing wrong with it."""
        return self.status in SOLVED

    @property
    def computed(self) -> bool:
        """Whether there is a result, within the tolerance or not."""
        return bool(self.stiffness)

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        return asdict(self)


def row_of(plain: Mapping[str, object]) -> Row:
    """The row that `plain` was made from.

    Raises
    ------
    ValueError
        It is no row.
    """
    names = {field.name for field in fields(Row)}
    if set(plain) != names:
        raise ValueError(f"a row has {sorted(names)}, not {sorted(plain)}")
    empty = Row("", "")
    return replace(empty, **{name: _frozen(value) for name, value in plain.items()})  # type: ignore[arg-type]


def _frozen(value: object) -> object:
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return float("nan") if value is None else value
