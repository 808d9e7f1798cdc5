"""Every number that the samples of a generated dataset depend on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from math import inf, prod
from numbers import Integral
from typing import SupportsFloat

import numpy as np
import torch
from jaxtyping import Int, UInt8

from lsml.data.microstructures import Design, latin_hypercube
from lsml.inputs import check_limits
from lsml.mandel import names
from lsml.physics.elasticity import elasticity
from lsml.physics.loads import Load
from lsml.physics.loads import load as make_load
from lsml.physics.moduli import Stiffness, isotropic
from lsml.strain_form import StrainForm

SPLITS = ("train", "validation", "test")  # the place is the code in a file
SHARES = (2, 1, 2)  # of a whole of 5
NU, MEAN_STRAIN = 0.3, 1e-3  # of the paper
BY_DESIGN, AT_RANDOM = "design", "random"


@dataclass(frozen=True)
class Recipe:
    """The dataset of Kelly & Kalidindi 2021, any number of which can be replaced.

    Sample i is realization i mod r of design point i // r, with r = ``realizations``.

    Raises
    ------
    ValueError
        A number or name that cannot be meant, before any work.
    """

    n: int
    realizations: int
    shape: tuple[int, ...]
    contrast: float
    seed: int
    tol: float
    discretization: str
    split: str
    components: tuple[str, ...]
    load: str
    batch: int
    nu: float = NU
    mean_strain: float = MEAN_STRAIN

    def __post_init__(self) -> None:
        for name in ("n", "realizations", "seed", "batch"):
            least = 0 if name == "seed" else 1
            _check_whole(name, getattr(self, name), least)
        check_contrast(self.contrast)
        check_limits(self.tol, 0)
        _ = self.design
        check_components(self.components, self.known)
        _check_choice("load", self.load, self.known)
        _check_choice("split", self.split, (BY_DESIGN, AT_RANDOM))
        self.voxel()

    @property
    def samples(self) -> int:
        """Number of them."""
        return self.n * self.realizations

    @property
    def voxels(self) -> int:
        """Of all samples together."""
        return self.samples * prod(self.shape)

    @property
    def shards(self) -> int:
        """Number of parts that are solved one at a time."""
        return -(-self.samples // self.batch)

    def shard(self, k: int) -> range:
        """Samples of part k."""
        return range(k * self.batch, min((k + 1) * self.batch, self.samples))

    @cached_property
    def design(self) -> Design:
        """Parameters of each design point."""
        return latin_hypercube(self.n, self.shape, self.seed)

    def design_points(self) -> Int[np.ndarray, " N"]:
        """The design point of each sample."""
        return np.repeat(np.arange(self.n), self.realizations)

    def splits(self) -> UInt8[np.ndarray, " N"]:
        """Code of each sample in `SPLITS`, 40/20/40 of design points or of samples."""
        if self.split == AT_RANDOM:
            return assign(self.samples, self.seed)
        return assign(self.n, self.seed)[self.design_points()]

    @property
    def phases(self) -> list[Stiffness]:
        """Soft and stiff."""
        return [isotropic(E=e, nu=self.nu) for e in (1.0, self.contrast)]

    @property
    def macro(self) -> Load:
        """The mean strain that is prescribed."""
        loaded = [c == self.load for c in self.known]
        return make_load(strain=[self.mean_strain * here for here in loaded])

    @property
    def known(self) -> tuple[str, ...]:
        """Names of the Mandel components."""
        return names(len(self.shape))

    def voxel(self) -> StrainForm:
        """The problem on a single voxel."""
        label = np.zeros((1,) * (len(self.shape) + 1), dtype=np.uint8)
        return elasticity(label, self.phases, self.macro, self.discretization)

    def kept(self) -> torch.Tensor:
        """Places of the stored components in a Mandel vector."""
        return torch.tensor([self.known.index(c) for c in self.components])

    def plain(self) -> dict[str, object]:
        """As JSON would return it."""
        return dict(json.loads(json.dumps(asdict(self), default=int)))

    @classmethod
    def of(cls, plain: Mapping[str, object]) -> "Recipe":
        """The recipe that `plain` was made from.

        Raises
        ------
        ValueError
            It was made from something else.
        """
        known = [f.name for f in fields(cls)]
        if set(plain) != set(known):
            raise ValueError(f"a recipe has {known}, not {sorted(plain)}")
        return cls(**{k: _frozen(v) for k, v in plain.items()})  # type: ignore[arg-type]


def differences(there: Mapping[str, object], here: Mapping[str, object]) -> str:
    """Such as "contrast is 10.0 there and 20.0 here"; empty if there is none."""
    keys = [*there, *(k for k in here if k not in there)]
    unlike = [k for k in keys if there.get(k) != here.get(k)]
    return ", ".join(
        f"{k} is {_told(there.get(k))} there and {_told(here.get(k))} here"
        for k in unlike
    )


def assign(count: int, seed: int) -> UInt8[np.ndarray, " n"]:
    """Codes in `SPLITS` of ``count`` items at random, 40/20/40 by largest remainder."""
    whole = sum(SHARES)
    sizes = [share * count // whole for share in SHARES]
    remainders = [share * count % whole for share in SHARES]
    by_remainder = sorted(range(len(SHARES)), key=lambda i: -remainders[i])
    for i in by_remainder[: count - sum(sizes)]:
        sizes[i] += 1
    codes = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), sizes)
    # Of its own: no microstructure is drawn from this sequence.
    sequence = np.random.SeedSequence(seed, spawn_key=(len(SPLITS),))
    return np.random.default_rng(sequence).permutation(codes)


def check_components(components: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse none at all, an unknown one, or one twice.

    Raises
    ------
    ValueError
        Which, and the known ones.
    """
    if not components:
        raise ValueError(f"components are empty; choose some of {', '.join(known)}")
    for name in components:
        _check_choice("component", name, known)
    if len(set(components)) < len(components):
        raise ValueError(f"components {', '.join(components)} name one twice")


def check_contrast(contrast: object) -> None:
    """Refuse what is no ratio of stiffnesses.

    Raises
    ------
    ValueError
        Not a number, negative, or infinite.
    """
    if not isinstance(contrast, SupportsFloat) or not 0 <= float(contrast) < inf:
        raise ValueError(
            f"contrast = {contrast!r} must be a number, finite and not negative"
        )


def _check_choice(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ValueError(
            f"{what} {given!r} is unknown; choose one of {', '.join(known)}"
        )


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}; expected a whole number from {least}")


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _told(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "not given" if value is None else str(value)
