"""Several load cases of one microstructure: what the first shows serves the others.

Recycling of Krylov subspaces (Erhel & Guyomarc'h 2000; Parks et al. 2006; Stathopoulos
& Orginos 2010): the first load case is solved by conjugate gradients, whose lowest Ritz
vectors deflate the conjugate gradients of the rest.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from lsml.gradients import Task
from lsml.physics.coarse_space import CoarseSpace, space_of_steps
from lsml.physics.rules.conjugate_gradient import ConjugateGradient, Krylov
from lsml.physics.rules.deflated import DeflatedCG
from lsml.physics.rules.lanczos import RitzCG, ritz_vectors
from lsml.physics.waves import Watch, Wave, first_of_each, merged
from lsml.problem import Problem, Residual
from lsml.rule import Iterate, Rule
from lsml.state import SolveState
from lsml.typing import Tags, Vector
from lsml.unroll import check

WINDOW = 3  # times the vectors wanted, the basis that is kept of the first load case


@dataclass(frozen=True)
class Recycled(Rule):
    """Conjugate gradients, deflated by what the first load case has shown.

    For :func:`lsml.solve` and :func:`lsml.homogenize`, on batches with several load
    cases on one microstructure; without those, and inside of other rules, it is
    conjugate gradients.

    Attributes
    ----------
    vectors : k Ritz vectors. While the others are solved, 2 k unknowns are kept for
        each microstructure.
    window : unknowns kept for each microstructure while the first load case is solved,
        more than 2 k; None for 3 k.
    """

    vectors: int = 8
    window: int | None = None
    requires: ClassVar[Tags] = ConjugateGradient.requires | {"whole"}

    def __post_init__(self) -> None:
        if self.vectors < 1 or self.kept <= 2 * self.vectors:
            raise ValueError(
                f"Recycled: {self.vectors} vectors must be 1 or more, and their window "
                f"of {self.kept} greater than {2 * max(1, self.vectors)}"
            )

    @property
    def kept(self) -> int:
        """Basis vectors of the first load case that are kept."""
        return WINDOW * self.vectors if self.window is None else self.window

    def init(self, problem: Problem, x: Vector, k: int) -> tuple[Vector, Krylov]:
        """As conjugate gradients."""
        return ConjugateGradient().init(problem, x, k)

    def residual(self, problem: Problem, x: Vector, memory: Krylov, k: int) -> Residual:
        """As conjugate gradients."""
        return ConjugateGradient().residual(problem, x, memory, k)

    def step(
        self, problem: Problem, it: Iterate, memory: Krylov
    ) -> tuple[Vector, Krylov]:
        """As conjugate gradients."""
        return ConjugateGradient().step(problem, it, memory)

    def campaign(self, task: Task) -> SolveState:
        """Solve the first load case of each microstructure, then the others."""
        problem = task.problem
        check(problem, self)
        first, others = first_of_each(problem)
        leaders, rest = problem.select(first), problem.select(others)
        if leaders is None or rest is None or len(others) == 0:
            return replace(task, rule=ConjugateGradient()).run()
        watch = Watch(task.observe, problem.start() if task.x0 is None else task.x0)
        led, space = self._first(Wave(leaders, first, task), watch)
        followed = Wave(rest, others, task).run(DeflatedCG(space), watch)
        return merged(problem, [(first, led), (others, followed)])

    def _first(self, wave: Wave, watch: Watch) -> tuple[SolveState, CoarseSpace]:
        """The first load cases solved, and the space that they leave behind."""
        none = space_of_steps(wave.problem, wave.problem.start()[:, None][:, :0])
        steps = (
            wave.task.max_iter + 1
        )  # more than it may take: it ends as any other rule
        seen = RitzCG(DeflatedCG(none), self.vectors, self.kept, steps)
        state = wave.run(seen, watch)
        vectors = ritz_vectors(state.memory, self.vectors)
        return replace(state, memory=()), space_of_steps(wave.problem, vectors)
