"""From what a user passes to rules, problems and starts, checked before any work."""

from collections.abc import Callable, Mapping
from math import inf, nan
from numbers import Integral
from pathlib import Path
from typing import Any, SupportsFloat, TypeAlias, TypedDict

import torch
from torch import Tensor

from lsml.brief import brief
from lsml.chain import chained, parse
from lsml.displacement_form import DisplacementForm
from lsml.learned.checkpoint import Savable
from lsml.learned.loading import NAMES, load_rule
from lsml.learned.rule import ALIKE, stiffnesses
from lsml.physics.cell import Faces, Spacing
from lsml.physics.elasticity import CONTRAST, two_phase
from lsml.physics.loads import Load
from lsml.physics.phases import Phase, Phases
from lsml.physics.rules.anderson import Anderson
from lsml.physics.rules.auto import Auto
from lsml.physics.rules.barzilai_borwein import BarzilaiBorwein
from lsml.physics.rules.bicgstab import BiCGStab
from lsml.physics.rules.born import Born
from lsml.physics.rules.chebyshev import Chebyshev
from lsml.physics.rules.conjugate_gradient import ConjugateGradient
from lsml.physics.rules.fast_gradient import HeavyBall, Nesterov
from lsml.physics.rules.minres import MinimalResidual
from lsml.physics.rules.moulinec import Moulinec
from lsml.physics.rules.newton import Newton
from lsml.physics.rules.nonlinear_cg import NonlinearCG
from lsml.physics.rules.polarization import (
    AugmentedLagrangian,
    EyreMilton,
    MonchietBonnet,
)
from lsml.physics.rules.steepest_descent import SteepestDescent
from lsml.problem import Problem
from lsml.rule import UpdateRule, family
from lsml.strain_form import StrainForm
from lsml.typing import Field

RULES: Mapping[str, Callable[[], UpdateRule[Any]]] = {
    "anderson": Anderson,
    "augmented_lagrangian": AugmentedLagrangian,
    "auto": Auto,
    "barzilai_borwein": BarzilaiBorwein,
    "bicgstab": BiCGStab,
    "born": Born,
    "cg": ConjugateGradient,
    "chebyshev": Chebyshev,
    "eyre_milton": EyreMilton,
    "heavy_ball": HeavyBall,
    "minres": MinimalResidual,
    "monchiet_bonnet": MonchietBonnet,
    "moulinec": Moulinec,
    "nesterov": Nesterov,
    "newton": Newton,
    "nonlinear_cg": NonlinearCG,
    "steepest_descent": SteepestDescent,
}
Weights: TypeAlias = str | Path | Mapping[str, str | Path] | None
LABELLED = "hex8-bbar"  # the discretization of the data of learned rules
FORMS: Mapping[str, Callable[[StrainForm], Problem]] = {
    "displacement": DisplacementForm,
    "strain": lambda problem: problem,
}


class ProblemOptions(TypedDict, total=False):
    """Options of `solve` and `homogenize` for labels; see `lsml.elasticity`."""

    contrast: float
    phases: Phases
    load: Load
    discretization: str
    spacing: Spacing
    faces: Faces
    eigenstrain: Any
    reference: Phase
    dtype: torch.dtype
    device: torch.device | str


def learns(rule: object) -> bool:
    """Whether a rule, by name or itself, is learned or made of one that is."""
    if isinstance(rule, str):
        return any(link.name in NAMES for link in parse(rule))
    if not isinstance(rule, UpdateRule):
        return False
    return any(isinstance(part, Savable) for part in family(rule))


def as_rule(
    rule: UpdateRule[Any] | str, weights: Weights, problem: Problem
) -> UpdateRule[Any]:
    """A rule by name, a chain of names, or a rule itself.

    Learned ones by name are put on the device of the problem.

    Raises
    ------
    ValueError
        Unknown name (the known ones are listed), a chain that is none (see
        :mod:`lsml.chain`), weights for a rule that has none, or an object without the
        interface.
    """
    if isinstance(rule, str):
        given = weights_by_name(rule, weights)
        return chained(rule, lambda name: named(name, given.get(name), problem))
    if isinstance(rule, type) or not isinstance(rule, UpdateRule):
        raise ValueError(
            f"rule must be a name or an object with the UpdateRule interface, "
            f"got {brief(repr(rule))}"
        )
    if weights is not None:
        raise ValueError(
            f"weights={weights!r} given beside a {type(rule).__name__}, which has its "
            "own: weights are for rules by name"
        )
    return rule


def named(name: str, weights: str | Path | None, problem: Problem) -> UpdateRule[Any]:
    """One rule by its name."""
    if name in RULES:
        return RULES[name]()
    if name not in NAMES:
        known = ", ".join(sorted([*RULES, *NAMES]))
        asked = brief(repr(name), 40)
        raise ValueError(f"rule {asked} is unknown; choose one of {known}")
    learned = load_rule(name, weights, contrast=contrast_of(problem))
    specimen = problem.specimen()
    return learned if specimen is None else learned.to(specimen.mean.device)


def weights_by_name(rule: str, weights: Weights) -> Mapping[str, str | Path]:
    """Which weights go to which learned rule of a chain.

    Raises
    ------
    ValueError
        Weights for a name that takes none, or one file for several names.
    """
    if weights is None:
        return {}
    learned = list(dict.fromkeys(n.name for n in parse(rule) if n.name in NAMES))
    if isinstance(weights, Mapping):
        if strange := [name for name in weights if name not in learned]:
            raise ValueError(
                f"weights given for {strange}, but the learned rules of {rule!r} are "
                f"{learned}"
            )
        return weights
    if not learned:
        raise ValueError(f"weights={weights!r} given, but rule {rule!r} has none")
    if len(learned) > 1:
        raise ValueError(
            f"weights={weights!r} are one file, but {rule!r} has {len(learned)} "
            f"learned rules: give a mapping from {' and '.join(learned)} to files"
        )
    return {learned[0]: weights}


def contrast_of(problem: Problem) -> float | None:
    """Stiffest over softest phase, if real and the same in every sample."""
    specimen = problem.specimen()
    if specimen is None or specimen.image.table.is_complex():
        return None
    stiffness = stiffnesses(specimen)
    found = (stiffness.amax(1) / stiffness.amin(1)).double()
    same = bool((found - found[0]).abs().max() <= ALIKE * found[0])
    return round(float(found[0]), 6) if same else None


def as_problem(
    m: object, options: ProblemOptions, rule: UpdateRule[Any] | str
) -> Problem:
    """The problem itself, or the one that labels and options make.

    For learned rules in the discretization of their data, unless another is asked for.

    Raises
    ------
    ValueError
        Unknown options, options beside a problem, or bad labels.
    """
    if isinstance(m, Problem):
        if options:
            raise ValueError(
                f"options {sorted(options)} make a problem from labels; this one is "
                "already a problem: give them to its builder"
            )
        return m
    unknown = set(options) - set(ProblemOptions.__annotations__)
    if unknown:
        known = ", ".join(sorted(ProblemOptions.__annotations__))
        raise ValueError(f"unknown options {sorted(unknown)}; labels take {known}")
    if learns(rule):
        options = {"discretization": LABELLED, **options}
    return two_phase(m, **options)


def given_options(m: object, options: ProblemOptions) -> dict[str, object]:
    """What labels are made a problem with, for a file to tell; nothing of a problem."""
    if isinstance(m, Problem) or "phases" in options:
        return dict(options)
    return {"contrast": CONTRAST, **options}


def in_form(problem: Problem, form: str, rule: UpdateRule[Any]) -> Problem:
    """The problem on the rule's reference medium, with the unknown asked for.

    In the strain form where a rule needs what the other one lacks.
    """
    if form not in FORMS:
        raise ValueError(
            f"form {brief(repr(form))} is unknown; choose one of {', '.join(FORMS)}"
        )
    if not isinstance(problem, StrainForm | DisplacementForm):
        return problem
    strain = problem.strain.referred(rule.reference)
    asked = FORMS[form](strain)
    if isinstance(asked, StrainForm) and not strain.exact:
        raise ValueError(
            "form='strain' needs the exact Green operator of the reference medium, "
            f"which faces {strain.discretization.faces} leave no transform for: use "
            "form='displacement'"
        )
    return asked if rule.requires <= asked.tags else strain


def check_limits(tol: object, max_iter: object) -> None:
    """Refuse what cannot end.

    Raises
    ------
    ValueError
        tol is not a positive number, or max_iter no whole number from 0.
    """
    if not 0 < as_number(tol) < inf:
        raise ValueError(f"tol = {brief(repr(tol))} must be positive and finite")
    if not isinstance(max_iter, Integral) or max_iter < 0:
        told = brief(repr(max_iter))
        raise ValueError(f"max_iter = {told} must be a whole number, 0 or more")


def as_number(value: object) -> float:
    """As Python has it; NaN of what is no single real number."""
    if not isinstance(value, SupportsFloat):
        return nan
    try:
        return float(value)
    except (TypeError, ValueError, ArithmeticError, RuntimeError):
        return nan


def as_start(x0: Field, problem: Problem) -> Tensor:
    """A field to start from, in the shape, dtype and place of the problem's.

    Raises
    ------
    ValueError
        Another shape than (b, c, *n) per voxel or (b, q·c, *n) at the points.
    """
    like = problem.field(problem.start())
    try:
        field = torch.as_tensor(x0).to(like)
    except (TypeError, ValueError, RuntimeError):
        told = brief(repr(x0))
        raise ValueError(f"x0 must be a field of numbers, got {told}") from None
    b, c, *n = like.shape
    voxels = [b, c // problem.points, *n]
    if field.ndim == like.ndim + 1 and field.shape[1] == problem.points:
        field = field.flatten(1, 2)
    if list(field.shape) not in (voxels, list(like.shape)):
        raise ValueError(f"x0 of shape {tuple(field.shape)} must be {tuple(voxels)}")
    return field
