"""Valid files made invalid: bytes, fields and pieces exchanged, by a seeded generator.

Where atheris is installed its own mutator does the same, led by the coverage; this one
needs nothing.
"""

import re
from collections.abc import Callable, Sequence
from random import Random

NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31)
NUMBERS += (2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = ("-1", "0", "1", "2", "7", "nan", "inf", "-inf", "1e308", "1e-320", "1e999")
TEXTS += ("65536", "2147483647", "4294967296", "99999999999", "9" * 30, "0.5", "", "x")
DIGITS = re.compile(rb"[-+]?\d+(\.\d*)?(e[-+]?\d+)?")


def flip(rng: Random, data: bytearray) -> None:
    """One bit."""
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def byte(rng: Random, data: bytearray) -> None:
    """One byte."""
    data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x20, 0x3C))


def field(rng: Random, data: bytearray) -> None:
    """A number of 2, 4 or 8 bytes, of either order; lengths and offsets are such."""
    size = rng.choice((2, 4, 8))
    at = rng.randrange(max(1, len(data) - size))
    number = rng.choice(NUMBERS) % 256**size
    data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))


def shift(rng: Random, data: bytearray) -> None:
    """A small number a little larger or smaller."""
    at = rng.randrange(len(data))
    data[at] = (data[at] + rng.choice((-8, -4, -2, -1, 1, 2, 4, 8))) % 256


def cut(rng: Random, data: bytearray) -> None:
    """The end is missing."""
    del data[rng.randrange(len(data)) :]


def remove(rng: Random, data: bytearray) -> None:
    """A piece is missing."""
    at = rng.randrange(len(data))
    del data[at : at + rng.randrange(1, 64)]


def repeat(rng: Random, data: bytearray) -> None:
    """A piece is there twice."""
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randrange(1, 64)]
    data[at:at] = piece * rng.choice((1, 1, 2, 50))


def noise(rng: Random, data: bytearray) -> None:
    """A piece of anything."""
    at = rng.randrange(len(data))
    data[at : at + rng.randrange(16)] = rng.randbytes(rng.randrange(1, 16))


def written(rng: Random, data: bytearray) -> None:
    """A number that is written in digits."""
    found = list(DIGITS.finditer(data))
    if found:
        one = rng.choice(found)
        data[one.start() : one.end()] = rng.choice(TEXTS).encode()


KINDS: Sequence[Callable[[Random, bytearray], None]] = (
    flip,
    byte,
    field,
    field,
    shift,
    cut,
    remove,
    repeat,
    noise,
    written,
    written,
)


def mutated(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """One to five changes; now and then the end of another file."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        if made:
            rng.choice(KINDS)(rng, made)
    if others and rng.random() < 0.05:
        other = rng.choice(others)
        made[rng.randrange(len(made) + 1) :] = other[rng.randrange(len(other) + 1) :]
    return bytes(made)
