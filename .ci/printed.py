"""Whether what was printed is what a page says, where `…` stands for anything."""

import re

NUMBER = r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)(?![\w])"
TOKEN = re.compile(
    r"(?P<lines>(?:\A|\n)[ ]*…[ ]*(?=\n|\Z))|(?P<any>…)"
    rf"|(?P<number>{NUMBER})|(?P<space>\s+)"
)
ROUND_OFF = 1e-12  # of the largest number of the output: as good as zero

# Never the same twice: written as … when a page is filled.
MASKS = [
    (re.compile(r"0x[0-9a-f]{6,}"), "0x…"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z)?"), "…"),
    (re.compile(r"(?<![\w.])\d+(\.\d+)?(e-\d+)? (s|ms|seconds)\b"), r"… \3"),
]


def mask(text: str) -> str:
    """Text without times and addresses."""
    for pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    return text


def agrees(said: str, printed: str, tolerance: float) -> bool:
    """Same words, and numbers within a relative tolerance.

    Spaces and the lengths of rules count as one, for they move with the digits.
    """
    said, printed = _plain(said), _plain(printed)
    found = re.fullmatch(_pattern(said), printed, re.DOTALL)
    if found is None:
        return False
    expected = [float(t["number"]) for t in TOKEN.finditer(said) if t["number"]]
    zero = ROUND_OFF * max((abs(x) for x in expected if x == x), default=0.0)
    measured = [float(number) for number in found.groups()]
    return all(
        a == b or (a != a and b != b) or abs(a - b) <= max(tolerance * abs(a), zero)
        for a, b in zip(expected, measured, strict=True)
    )


def _plain(text: str) -> str:
    text = re.sub(r"([─━═-])\1{2,}", r"\1\1\1", text.strip())
    text = re.sub(r"(?<=[\[(])\s+|\s+(?=[\])])", "", text)
    return re.sub(r"[ \t]+(?=\n|$)", "", text)


def _pattern(said: str) -> str:
    parts, at = [], 0
    for token in TOKEN.finditer(said):
        parts.append(re.escape(said[at : token.start()]))
        at = token.end()
        match token.lastgroup:
            case "number":
                parts.append(f"({NUMBER})")
            case "space":
                parts.append(r"\s+")
            case "lines":  # a line of its own stands for any number of lines
                parts.append(r".*?")
            case _:
                parts.append(r"[^\n]*?")
    return "".join([*parts, re.escape(said[at:])])
