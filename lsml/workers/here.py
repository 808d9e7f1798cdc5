"""The work done by this very process, one item at a time."""

from collections.abc import Generator, Iterable

from lsml.workers.task import Answer, I, R, Task


class Here:
    """No process but this one: nothing to be lost, and no limit."""

    def answers(
        self, task: Task[I, R], items: Iterable[I]
    ) -> Generator[Answer[I, R], None, None]:
        """One after the other; what the task does not expect is raised as it is."""
        for item in items:
            try:
                answer = Answer(item, task.call(item))
            except task.intended as error:
                answer = Answer(item, failure=error)
            yield answer
