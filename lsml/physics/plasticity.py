"""Inelastic phases at small strains: ε = ε̄ − Γ⁰ (σ(ε) − C⁰ ε), 3-D or plane strain."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lsml.law import PhaseLaw
from lsml.physics.cell import Spacing
from lsml.physics.elasticity import elasticity
from lsml.physics.inelastic import InelasticPhases, Tables, tables
from lsml.physics.inelastic_law import IN_PLANE, InelasticLaw, Internal
from lsml.physics.loads import Load
from lsml.physics.phases import Phase
from lsml.strain_form import StrainForm


def plasticity(  # noqa: PLR0913 (the public builder)
    labels: object,
    phases: InelasticPhases,
    load: Load,
    discretization: str = "rotated",
    spacing: Spacing | None = None,
    *,
    internal: Internal | None = None,
    eigenstrain: Sequence[object] | Tensor | None = None,
    reference: Phase | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> StrainForm:
    """One load step of a periodic voxel image of elastic and inelastic phases.

    The problem of a step is that of a nonlinear elastic body with the stress of the end
    of the step (backward Euler), as in Moulinec & Suquet (1998). :func:`lsml.load_path`
    takes many steps; ``problem.of(law.after(field))`` is what one leaves to the next.

    Parameters
    ----------
    phases : one per label: :func:`lsml.j2`, :func:`lsml.ramberg_osgood`,
        :func:`lsml.power_law`, or any that :func:`lsml.elasticity` takes; or one such
        list per sample.
    internal : plastic strain and its accumulated norm before the step, at the
        quadrature points; None if nothing has yielded.
    reference : stiffness of the reference medium; None takes the mean that a rule asks
        for, of the moduli of small strains, which are the stiffest.
    labels, load, discretization, spacing, eigenstrain, dtype, device : as in
        :func:`lsml.elasticity`. Plastic flow keeps the volume, which ``hex8`` is too
        stiff for and ``hex8-bbar`` is not. ``staggered`` is refused. In float32 there
        is no refinement: residuals end where its rounding does.

    Raises
    ------
    ValueError
        One sentence naming the argument, what was given and what was expected.
    """
    taken = tables(phases)
    if taken is not None and discretization == "staggered":
        raise ValueError(
            "discretization 'staggered' holds the components of a strain at different "
            "places, where no inelastic law sees them together: use 'rotated' or "
            "'hex8-bbar'"
        )
    elastic: Any = phases if taken is None else taken.elastic
    problem = elasticity(
        labels,
        elastic,
        load,
        discretization,
        spacing,
        eigenstrain=eigenstrain,
        reference=reference,
        dtype=dtype,
        device=device,
    )
    if taken is None:
        return problem
    return problem.of(_law(problem, taken, internal))


def _law(problem: StrainForm, taken: Tables, internal: Internal | None) -> InelasticLaw:
    elastic = problem.law
    assert isinstance(elastic, PhaseLaw)
    if elastic.coefficients.is_complex():
        raise ValueError("phases are complex: inelastic laws take real moduli only")
    place = elastic.labels.device
    parameters = taken.parameters.to(place, elastic.coefficients.dtype)
    law = InelasticLaw(elastic, taken.responses, taken.codes.to(place), parameters)
    if internal is None:
        return law
    return replace(law, variables=_variables(problem, internal, parameters))


def _variables(problem: StrainForm, internal: Internal, like: Tensor) -> Internal:
    """Of the right shape, dtype and device."""
    if not isinstance(internal, tuple) or len(internal) != len(Internal._fields):
        raise ValueError(
            "internal must be a pair, lsml.Internal(strain, accumulated), got "
            f"{type(internal).__name__}"
        )
    k = 1 + max(IN_PLANE[problem.background.shape[1]])
    head, grid = (problem.batch, problem.points), problem.grid.shape
    wanted = {"strain": (*head, k, *grid), "accumulated": (*head, *grid)}
    own = []
    for (name, shape), given in zip(wanted.items(), internal, strict=True):
        value = torch.as_tensor(given)
        if tuple(value.shape) != shape:
            raise ValueError(
                f"internal: {name} of shape {tuple(value.shape)} must be {shape}: "
                "samples, quadrature points, components, voxels"
            )
        if not bool(value.detach().isfinite().all()):
            raise ValueError(f"internal: {name} is not finite")
        own.append(value.to(like))
    if bool((own[1].detach() < 0).any()):
        raise ValueError("internal: accumulated plastic strain is negative")
    return Internal(*own)
