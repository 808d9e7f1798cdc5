"""From what a user passes to rules, problems and starts, checked before any work."""

from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, SupportsFloat, TypedDict

import torch
from torch import Tensor

from lsml.displacement_form import DisplacementForm
from lsml.learned.loading import NAMES, load_rule
from lsml.learned.rule import ALIKE, LearnedRule, stiffnesses
from lsml.physics.elasticity import Spacing, two_phase
from lsml.physics.loads import Load
from lsml.physics.phases import Phase, Phases
from lsml.physics.rules.conjugate_gradient import ConjugateGradient
from lsml.physics.rules.moulinec import Moulinec
from lsml.physics.rules.steepest_descent import SteepestDescent
from lsml.problem import Problem
from lsml.rule import UpdateRule
from lsml.strain_form import StrainForm
from lsml.typing import Field

RULES: Mapping[str, Callable[[], UpdateRule[Any]]] = {
    "cg": ConjugateGradient,
    "moulinec": Moulinec,
    "steepest_descent": SteepestDescent,
}
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
    eigenstrain: Any
    reference: Phase
    dtype: torch.dtype
    device: torch.device | str


def learns(rule: object) -> bool:
    """Whether a rule, by name or itself, is learned or made of one that is."""
    if isinstance(rule, str):
        return rule in NAMES
    parts = (getattr(rule, name, None) for name in ("first", "then", "rule"))
    inner = any(learns(part) for part in parts if part is not None)
    return inner or isinstance(rule, LearnedRule)


def as_rule(
    rule: UpdateRule[Any] | str, weights: str | Path | None, problem: Problem
) -> UpdateRule[Any]:
    """A rule by name, or a rule itself; a learned one on the device of the problem.

    Raises
    ------
    ValueError
        Unknown name (the known ones are listed), weights for a rule that has none,
        or an object without the interface.
    """
    if isinstance(rule, str) and rule in NAMES:
        learned = load_rule(rule, weights, contrast=contrast_of(problem))
        specimen = problem.specimen()
        return learned if specimen is None else learned.to(specimen.mean.device)
    if isinstance(rule, str):
        if rule not in RULES:
            known = ", ".join(sorted([*RULES, *NAMES]))
            raise ValueError(f"rule {rule!r} is unknown; choose one of {known}")
        if weights is not None:
            raise ValueError(f"weights={weights!r} given, but rule {rule!r} has none")
        return RULES[rule]()
    if isinstance(rule, type) or not isinstance(rule, UpdateRule):
        raise ValueError(
            f"rule must be a name or an object with the UpdateRule interface, "
            f"got {rule!r}"
        )
    return rule


def contrast_of(problem: Problem) -> float | None:
    """Stiffest over softest phase, if it is the same in every sample."""
    specimen = problem.specimen()
    if specimen is None:
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


def in_form(problem: Problem, form: str, rule: UpdateRule[Any]) -> Problem:
    """The problem on the rule's reference medium, with the unknown asked for."""
    if form not in FORMS:
        raise ValueError(f"form {form!r} is unknown; choose one of {', '.join(FORMS)}")
    if not isinstance(problem, StrainForm | DisplacementForm):
        return problem
    return FORMS[form](problem.strain.referred(rule.reference))


def check_limits(tol: object, max_iter: object) -> None:
    """Refuse what cannot end.

    Raises
    ------
    ValueError
        tol is not a positive number, or max_iter no whole number from 0.
    """
    if not isinstance(tol, SupportsFloat) or not 0 < float(tol) < float("inf"):
        raise ValueError(f"tol = {tol!r} must be positive and finite")
    if not isinstance(max_iter, Integral) or max_iter < 0:
        raise ValueError(f"max_iter = {max_iter!r} must be a whole number, 0 or more")


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
        raise ValueError(f"x0 must be a field of numbers, got {x0!r}") from None
    b, c, *n = like.shape
    voxels = [b, c // problem.points, *n]
    if field.ndim == like.ndim + 1 and field.shape[1] == problem.points:
        field = field.flatten(1, 2)
    if list(field.shape) not in (voxels, list(like.shape)):
        raise ValueError(f"x0 of shape {tuple(field.shape)} must be {tuple(voxels)}")
    return field
