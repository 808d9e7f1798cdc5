"""Ctrl-C that ends an iteration at its next step, with what is done kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lsml.cli.team import team


class Interrupt:
    """Whether Ctrl-C was pressed; the second time it ends the program at once."""

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self, *_: object) -> bool:
        """An observer of anything: True ends it, for all who run the command."""
        return team().any(self.pressed)

    def press(self, number: int, frame: FrameType | None) -> None:
        """What the signal does."""
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True


@contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Ctrl-C is noted in here; only in the main thread, where signals arrive."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.press)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
