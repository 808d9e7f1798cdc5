"""The error of a solve of which a sample has no answer to rely on."""

from typing import Any

from lsml.io.solved import Answer
from lsml.state import Status


class ConvergenceError(RuntimeError):
    """A sample diverged, went non-finite or ran out; carries the ``solution``."""

    def __init__(self, solution: Answer) -> None:
        lines = []
        for i, code in enumerate(solution.status.tolist()):
            if Status(code).failed:
                steps, error = int(solution.iterations[i]), float(solution.error[i])
                lines.append(
                    f"sample {i}: {Status(code).name} after {steps} iterations at "
                    f"error {error:.1e} ({Status(code).advice})"
                )
        more = f"; and {len(lines) - 3} more samples" if len(lines) > 3 else ""
        super().__init__("; ".join(lines[:3]) + more)
        self.solution: Any = solution

    def __reduce__(self) -> tuple[type["ConvergenceError"], tuple[Answer]]:
        """Made anew from the solution, so that a worker process can raise it."""
        return type(self), (self.solution,)
