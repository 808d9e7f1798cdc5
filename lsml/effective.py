"""An effective tensor, its certificate, and what unit load cases tell beside it."""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from lsml.engineering import (
    Anisotropy,
    EngineeringConstants,
    anisotropy,
    engineering_constants,
)
from lsml.io.content import tensor_content
from lsml.io.solved import array
from lsml.saving import save_content
from lsml.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class EffectiveStiffness:
    """Mandel stiffness (b, c, c) of b microstructures; ``np.asarray`` gives it.

    Attributes
    ----------
    stiffness : symmetric; differentiable with respect to the moduli. The Galerkin
        value, which is the upper end of the interval but for rounding; where predicted,
        less what further iterations are expected to take from the diagonal.
    lower, upper : certified interval of each diagonal entry, rounding included; with
        pores it is one-sided, and the lower end 0. Of a complex entry the real part of
        a disk around it, which holds the exact one.
    iterations : of each load case.
    solution : the unit load cases, b·c samples, load case fastest.
    """

    stiffness: Inexact[Tensor, "b c c"]
    lower: Float[Tensor, "b c"]
    upper: Float[Tensor, "b c"]
    iterations: Integer[Tensor, "b c"]
    solution: Solution

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The stiffness as NumPy sees it."""
        array = self.stiffness.detach().cpu().numpy()
        return np.array(array, dtype=dtype, copy=copy)

    def engineering(self) -> EngineeringConstants:
        """E, ν and G along the grid axes; see :class:`EngineeringConstants`.

        Raises
        ------
        ValueError
            This is no stiffness.
        """
        return engineering_constants(self._elastic("engineering constants"))

    def anisotropy(self) -> Anisotropy:
        """Nearest isotropic moduli, and how far it is from them; :class:`Anisotropy`.

        Raises
        ------
        ValueError
            This is no stiffness.
        """
        return anisotropy(self._elastic("elastic anisotropy"))

    @cached_property
    def localization(self) -> Inexact[Tensor, "b c c *n"]:
        """A(x), the average over each voxel: ε(x) = A(x) ε̄ under any mean strain.

        <A> = 1 and <C A> is the effective stiffness. Column j is the field of the unit
        load j (Hill 1963, J. Mech. Phys. Solids 11).
        """
        return self._columns(self.solution.strain)

    @cached_property
    def concentration(self) -> Inexact[Tensor, "b c c *n"]:
        """B(x) with σ(x) = B(x) σ̄ under any mean stress, <B> = 1: C(x) A(x) C*⁻¹.

        Not finite where the effective stiffness is singular.
        """
        flux = self._columns(self.solution.stress)
        compliance = torch.linalg.inv(self.stiffness.detach())
        return torch.einsum("bij...,bjk->bik...", flux, compliance)

    def save(self, path: str | Path) -> Path:
        """Write tensor, interval, constants and provenance: ``.h5``, .npz or .json.

        The names are those of :mod:`lsml.io.content`; :func:`lsml.io.read_saved` reads
        the HDF5 file.

        Raises
        ------
        ValueError, OSError
            Another extension, or the file cannot be written; what was there before is
            untouched.
        """
        codes = self.solution.status.reshape(self.iterations.shape)
        tensors = {
            "stiffness": self.stiffness,
            "lower": self.lower,
            "upper": self.upper,
            "iterations": self.iterations,
            "status": codes,
        }
        if self._is_elastic:
            constants = self.engineering()
            tensors |= {"E": constants.E, "nu": constants.nu, "G": constants.G}
        return save_content(tensor_content(self.solution, tensors), path)

    @property
    def _is_elastic(self) -> bool:
        return self.solution.form.discretization.differential.words.field == "strain"

    def _columns(self, fields: Tensor) -> Inexact[Tensor, "b c c *n"]:
        """Fields of the load cases as the columns of a matrix per voxel."""
        return fields.unflatten(0, (len(self.stiffness), -1)).transpose(1, 2)

    def _elastic(self, what: str) -> Float[Tensor, "b c c"]:
        if not self._is_elastic:
            words = self.solution.form.discretization.differential.words
            raise ValueError(f"a {words.coefficient} has no {what}")
        return self.stiffness

    def plot(
        self, path: str | Path | None = None, sample: int = 0, unit: str = ""
    ) -> "Figure":
        """Young's modulus by direction; see :func:`lsml.plot.plot_stiffness`.

        Raises
        ------
        ValueError, OSError
            This is no stiffness, it is singular, there is no such sample, or the file
            cannot be written.
        ImportError
            matplotlib is missing; the message names the extra.
        """
        from lsml.plot.stiffness import plot_stiffness

        elastic = self._elastic("Young's modulus")
        if not 0 <= sample < len(elastic):
            raise ValueError(
                f"sample = {sample} must be one of {len(elastic)}, counted from 0"
            )
        return plot_stiffness(array(elastic[sample]), path, unit=unit)

    def _repr_html_(self) -> str:
        """What notebooks show: tables, and Young's modulus of the first one."""
        from lsml.rich_repr import MOST, picture, stiffness_html

        words = self.solution.form.discretization.differential.words
        samples = zip(
            *map(array, (self.stiffness, self.lower, self.upper)), strict=True
        )
        tables = [
            stiffness_html(
                matrix, (low, high), words.components,
                f"Effective {words.coefficient}, sample {k}"
            )
            for k, (matrix, low, high) in enumerate(islice(samples, MOST))
        ]  # fmt: skip
        return "".join(tables) + picture(self.plot, "Young's modulus of sample 0")

    def __repr__(self) -> str:
        """Diagonals and the widest interval."""
        diagonal = self.stiffness.detach().diagonal(dim1=1, dim2=2)
        width = float(((self.upper - self.lower) / self.upper).max())
        bound = f"relative width ≤ {width:.1e}"
        if bool((self.lower == 0).any()):
            bound = "bounded from above only"
        return f"EffectiveStiffness(diagonal {diagonal.tolist()}, {bound})"
