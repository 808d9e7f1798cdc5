"""Where a result comes from: versions, date, options, input, certificate."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version

import torch

from lsml.io.asked import Provenance
from lsml.io.cut import stored
from lsml.io.plain import digest, plain, spelled
from lsml.io.solved import Answer, has_strain, phase_law
from lsml.physics.discretization import name_of


def asked(call: str, rule: object, options: Mapping[str, object]) -> Provenance:
    """Provenance of a call, taken down before the work."""
    return Provenance(call, spelled(plain(rule)), written(options))


def written(values: Mapping[str, object]) -> str:
    """JSON of values of any kind."""
    return json.dumps(plain(values))


def entries(solution: Answer) -> dict[str, str]:
    """What a file says of a solution, by the names of ``lsml.io.saved.ENTRIES``."""
    known = {
        "lsml_version": version("lsml"),
        "torch_version": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "call": "",
        "rule": solution.rule,
        "options": written(_problem(solution)),
    }
    if solution.provenance is not None:
        said = solution.provenance
        options = json.loads(said.options) | _problem(solution)
        known |= {"call": said.call, "rule": said.rule, "options": written(options)}
    if has_strain(solution):
        labels = phase_law(solution).labels
        known["labels_sha256"] = digest(stored(labels, solution.form.grid))
        bound = float(solution.error_bound.detach().max())
        known["error_bound"] = f"{bound:.3e}"
    known["certified_error"] = f"{float(solution.error.detach().max()):.3e}"
    return known


def _problem(solution: Answer) -> dict[str, object]:
    """What was solved, whatever it was made from; its load and phases are datasets."""
    made: dict[str, object] = {"problem": type(solution.problem).__name__}
    if not has_strain(solution):
        return made
    form = solution.form
    return made | {
        "discretization": name_of(form.discretization),
        "faces": list(form.discretization.faces),
        "spacing": list(form.grid.spacing),
        "dtype": solution.mean_strain.dtype,
    }
