"""What gradient methods on compatible fields have in common."""

from typing import Any, ClassVar

from lsml.problem import Problem, Residual
from lsml.rule import Rule
from lsml.typing import Tags, Vector


class Equilibrium(Rule):
    """Starts from an admissible field and leaves it along gradients only.

    The residual is that of equilibrium, evaluated: a step of any length then keeps
    the field admissible, where the total residual would amplify what rounding has made
    incompatible.
    """

    requires: ClassVar[Tags] = frozenset({"compatible", "symmetric", "positive"})

    def residual(self, problem: Problem, x: Vector, memory: Any, k: int) -> Residual:
        """Equilibrium alone."""
        force = problem.force(x)
        step = problem.precondition(force)
        return Residual(force, step, problem.pairing(force, step))
