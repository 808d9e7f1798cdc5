"""A comparison as JSON: one object, in which null stands for what there is not.

==========  ========================================================================
format      1
lsml        version that wrote it
goals       errors for which costs are told
reference   rule that made the solutions
tol         certified residual to which it made them
components  of the strain, in the order of ``mase``
training    seconds of training by rule, null if not known
setting     problems and machine
trials      a list, one object for each rule and problem
==========  ========================================================================

The keys of a trial are the attributes of :class:`lsml.comparison.Trial`; arrays are
nested lists, the sample first, then the iterate. Samples that took fewer iterations
than others have null in the rest of their rows.
"""

import json
from dataclasses import fields
from importlib.metadata import version
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np

from lsml.atomic import replacing
from lsml.comparison.result import Comparison
from lsml.comparison.trials import Trial

FORMAT = 1
ARRAYS = {
    "error": 1,
    "residual": 2,
    "energy": 2,
    "effective": 2,
    "mase": 3,
    "flops": 2,
    "seconds": 1,
}


def dump(comparison: Comparison, path: str | Path | None) -> str:
    """The text, also written to a file if there is one.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    whole = {
        "format": FORMAT,
        "lsml": version("lsml"),
        "goals": list(comparison.goals),
        "reference": comparison.reference,
        "tol": comparison.tol,
        "components": list(comparison.components),
        "training": dict(comparison.training),
        "setting": dict(comparison.setting),
        "trials": [described(trial) for trial in comparison.trials],
    }
    text = json.dumps(whole, allow_nan=False)
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(text + "\n")
    return text


def described(trial: Trial) -> dict[str, Any]:
    """A trial in what JSON can hold."""
    values = {field.name: getattr(trial, field.name) for field in fields(trial)}
    lists = {name: without_nan(values[name].tolist()) for name in ARRAYS}
    return values | lists | {"operations": dict(trial.operations)}


def without_nan(value: Any) -> Any:
    """Nested lists in which null stands for what is not a number."""
    if isinstance(value, list):
        return [without_nan(each) for each in value]
    return value if isfinite(value) else None


def load(text: str) -> Comparison:
    """The inverse of ``dump``.

    Raises
    ------
    ValueError
        Another format, or no such object.
    """
    try:
        whole = json.loads(text)
        found = whole.get("format")
        if found != FORMAT:
            raise ValueError(f"its format is {found!r}, not {FORMAT}")
        trials = tuple(restored(each) for each in whole["trials"])
        return Comparison(
            trials,
            tuple(whole["goals"]),
            whole["reference"],
            whole["tol"],
            tuple(whole["components"]),
            whole["training"],
            whole["setting"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a comparison written by lsml ({error})") from None


def restored(described: dict[str, Any]) -> Trial:
    """A trial, null being NaN again."""
    arrays = {name: array(described[name], rank) for name, rank in ARRAYS.items()}
    lists = {name: tuple(described[name]) for name in ("status", "iterations")}
    return Trial(**(described | arrays | lists))


def array(values: Any, rank: int) -> np.ndarray:
    """Nested lists as numbers."""
    numbers = np.array(values, dtype=object)
    numbers[numbers == np.array(None)] = nan
    found = numbers.astype(float)
    return found if found.ndim == rank else found.reshape((0,) * rank)
