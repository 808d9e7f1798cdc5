"""What a solution was asked for, as it travels with the solution."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Provenance:
    """A call, as text.

    Attributes
    ----------
    call : the function, such as ``"solve"``.
    rule : with its parameters, such as ``"Anderson(rule=Moulinec(), depth=5)"``.
    options : a JSON object of the other arguments.
    """

    call: str
    rule: str
    options: str
