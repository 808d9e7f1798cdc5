"""Work on many items, and what every engine that does it promises.

Each item is answered once, with what the work returns or with what went wrong. The
process that works on it may die or hang: then another one does it again.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from traceback import format_exc
from typing import Generic, Protocol, TypeVar, runtime_checkable

ATTEMPTS = 3  # processes that may be lost over one item
HOUR = 3600.0
INTENDED = (ValueError, OSError, ImportError, MemoryError)  # raised to be read by users

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")


class WorkerLostError(OSError):
    """The processes that worked on an item ended or hung, one after the other."""


@dataclass(frozen=True)
class Task(Generic[I, R]):
    """What is done with each item; it can be pickled.

    Attributes
    ----------
    call : the work; a function of a module, or an object that can be pickled.
    noun : what an item is, such as ``"part"``; errors name it with the item behind.
    limit : seconds of work on one item after which a process counts as hanging.
    expected : errors that the work raises on purpose, beside :data:`INTENDED`.
    """

    call: Callable[[I], R]
    noun: str
    limit: float = HOUR
    expected: tuple[type[Exception], ...] = ()

    @property
    def intended(self) -> tuple[type[Exception], ...]:
        """Errors that are an answer."""
        return (*INTENDED, *self.expected)

    def named(self, item: I) -> str:
        """The item in words."""
        return f"{self.noun} {item}"


@dataclass(frozen=True)
class Answer(Generic[I, R]):
    """What became of an item: a value, or a failure."""

    item: I
    value: R | None = None
    failure: Exception | None = None

    def take(self) -> R:
        """The value.

        Raises
        ------
        Exception
            The failure, if there is one.
        """
        if self.failure is not None:
            raise self.failure
        return self.value  # type: ignore[return-value]


@runtime_checkable
class Workers(Protocol):
    """Whoever does the work."""

    def answers(
        self, task: Task[I, R], items: Iterable[I]
    ) -> Generator[Answer[I, R], None, None]:
        """An answer for each item, in the order in which they are done.

        What was not expected by the task is a RuntimeError with its traceback. Closing
        the generator ends the work.

        Raises
        ------
        OSError, ValueError, ImportError
            Nobody is there who could do the work; the answers so far stand.
        """
        ...


def attempt(task: Task[I, R], item: I) -> Answer[I, R]:
    """Do the work in this process; failures become part of the answer."""
    try:
        return Answer(item, task.call(item))
    except task.intended as error:
        return Answer(item, failure=error)
    except Exception:
        told = f"{task.named(item)} failed in a worker process:\n{format_exc()}"
        return Answer(item, failure=RuntimeError(told))


def lost(task: Task[I, R], item: I, reason: str) -> Answer[I, R]:
    """Given up, for this reason."""
    told = f"{task.named(item)} is given up: {reason}; what is done is kept"
    return Answer(item, failure=WorkerLostError(told))
