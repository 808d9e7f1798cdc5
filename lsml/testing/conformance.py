"""What every update rule owes: the laws by name, and all of them at once.

Each check takes a rule and a :class:`~lsml.testing.problems.Case` and raises an
AssertionError, with a sentence that says which law broke on which case. In a test
suite, parametrize over ``CHECKS`` and ``ALL_CASES``; a rule of one's own needs no more
than the ``UpdateRule`` interface. Rules with a fixed number of passes are held to all
laws but convergence, in whose place they must take exactly those passes.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from lsml.rule import UpdateRule
from lsml.testing.behaviour import (
    check_error_belongs_to_iterate,
    check_homogeneous,
    check_max_iter_zero,
    check_refuses_by_tag,
    check_solves,
    check_zero_load,
)
from lsml.testing.hygiene import (
    check_deterministic,
    check_finite_gradient,
    check_inputs_not_mutated,
    check_keeps_precision,
    check_memory_by_sample,
    check_nan_isolated,
    check_overwriting_is_harmless,
    check_steps_are_pure,
)
from lsml.testing.problems import ALL_CASES, Case
from lsml.testing.symmetries import (
    check_batch_equals_single,
    check_permutation,
    check_translation,
    check_unit_scaling,
)

Check = Callable[[UpdateRule[Any], Case], None]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "solves": check_solves,
        "refuses_by_tag": check_refuses_by_tag,
        "error_belongs_to_iterate": check_error_belongs_to_iterate,
        "max_iter_zero": check_max_iter_zero,
        "zero_load": check_zero_load,
        "homogeneous": check_homogeneous,
        "permutation": check_permutation,
        "batch_equals_single": check_batch_equals_single,
        "translation": check_translation,
        "unit_scaling": check_unit_scaling,
        "inputs_not_mutated": check_inputs_not_mutated,
        "steps_are_pure": check_steps_are_pure,
        "overwriting_is_harmless": check_overwriting_is_harmless,
        "memory_by_sample": check_memory_by_sample,
        "deterministic": check_deterministic,
        "nan_isolated": check_nan_isolated,
        "keeps_precision": check_keeps_precision,
        "finite_gradient": check_finite_gradient,
    }
)


def check_rule(rule: UpdateRule[Any], problems: Iterable[Case] | None = None) -> None:
    """Hold a rule to every law, on ``problems`` or on the cases of this package.

    Raises
    ------
    AssertionError
        A law broke; the message says which, and on which case.
    """
    for case in ALL_CASES if problems is None else problems:
        for check in CHECKS.values():
            check(rule, case)
