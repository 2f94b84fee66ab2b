"""Turn the arguments that clients really send into the ones a command takes.

Clients differ: Pure Data sends every number as a float and splits text at spaces, TouchOSC's simple messages
turn all numbers into floats, others send numbers as text, several numbers in one text, or true for 1. All of
these mean the same here. What cannot be meant is refused with the reason.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from soundlasso.bridge.osc.errors import OscError

MAX_TEXT_CHARS = 512
MAX_PATH_CHARS = 4096
INT32 = (-(1 << 31), (1 << 31) - 1)  # what an OSC integer holds

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Arg:
    """What one argument must be.

    Parameters
    ----------
    name
        What it is called in the help and in refusals.
    tag
        The OSC type: "i", "f", "s", or "*" for all that is left, as it came.
    low, high
        The range of a number. Floats beyond are moved to its end, integers beyond are refused.
    choices
        The words a text may be; upper and lower case are the same.
    max_chars
        The longest text.
    joins
        A text that takes all that is left, joined by spaces.
    optional
        May be left out, then it is None.
    check
        Raises an `OscError` for a text that cannot be.
    """

    name: str
    tag: Literal["i", "f", "s", "*"]
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    max_chars: int = MAX_TEXT_CHARS
    joins: bool = False
    optional: bool = False
    check: Callable[[str], None] | None = None

    @property
    def range_text(self) -> str:
        """The range as people read it: "0..1" or "keep|remove"."""
        if self.choices:
            return "|".join(self.choices)
        if self.low is None or self.high is None:
            return ""
        return f"{self.low:g}..{self.high:g}"


def coerce(expected: Sequence[Arg], given: Sequence[Any]) -> tuple[Any, ...]:
    """Fit the given arguments to the expected ones.

    Returns
    -------
    One value for each expected argument (None for an optional one left out);
    an argument with tag "*" adds as many as are left.

    Raises
    ------
    OscError
        With code ``bad_args``, ``out_of_range`` or ``too_large``.
    """
    left = deque(_flat(given))
    values: list[Any] = []
    for arg in expected:
        values.extend(_take(arg, left))
    if left:
        wanted = ", ".join(f"{arg.tag}:{arg.name}" for arg in expected) or "no arguments"
        raise OscError("bad_args", f"{len(left)} arguments too many, first {left[0]!r}; expected {wanted}")
    return tuple(values)


def is_press(given: Sequence[Any]) -> bool:
    """Whether a trigger fires: with no argument or one above 0; a 0 is the button coming up again."""
    (value,) = coerce([Arg("trigger", "f", optional=True)], given)
    return value is None or value > 0


def _flat(given: Sequence[Any]) -> list[Any]:
    """Undo arrays, and drop nil: it stands for "not given"."""
    flat: list[Any] = []
    for value in given:
        flat.extend(_flat(value)) if isinstance(value, list) else flat.append(value)
    return [value for value in flat if value is not None]


def _take(arg: Arg, left: deque[Any]) -> list[Any]:
    if arg.tag == "*":
        rest = list(left)
        left.clear()
        return rest
    if not left:
        if arg.optional:
            return [None]
        raise OscError("bad_args", f"no {arg.name} ({arg.tag}) given")
    if arg.tag == "s":
        return [_text(arg, left)]
    return [_number(arg, left)]


def _text(arg: Arg, left: deque[Any]) -> str:
    atoms = [left.popleft()]
    if arg.joins:
        atoms += left
        left.clear()
    text = " ".join(_atom_text(arg, atom) for atom in atoms).strip()
    if len(text) > arg.max_chars:
        raise OscError("too_large", f"{arg.name} of {len(text)} characters; the most is {arg.max_chars}")
    if arg.choices:
        return _choice(arg, text)
    if arg.check:
        arg.check(text)
    return text


def _atom_text(arg: Arg, atom: Any) -> str:
    if isinstance(atom, str):
        return atom
    if isinstance(atom, bool | int | float):
        return _digits(atom)
    raise OscError("bad_args", f"{arg.name} must be text, not {type(atom).__name__}")


def _digits(number: float) -> str:
    """Write a number as its sender does: Pure Data's 2 comes as 2.0, and 0.1 as 0.10000000149011612."""
    if isinstance(number, int) or number.is_integer():
        return str(int(number))
    single = np.float32(number)
    return str(single if float(single) == number else number)


def _choice(arg: Arg, text: str) -> str:
    for choice in arg.choices:
        if choice.lower() == text.lower():
            return choice
    raise OscError("out_of_range", f"{arg.name} {text[:64]!r} is none of {', '.join(arg.choices)}")


def _number(arg: Arg, left: deque[Any]) -> float | int:
    value = _parsed(arg, left)
    if not math.isfinite(value):
        raise OscError("out_of_range", f"{arg.name} {value!r} is not finite")
    return _whole(arg, value) if arg.tag == "i" else _clipped(arg, value)


def _parsed(arg: Arg, left: deque[Any]) -> float:
    """Take one number; "0.5 2" in one text is two of them."""
    value = left.popleft()
    if isinstance(value, str):
        first, *rest = value.split() or [""]
        left.extendleft(reversed(rest))
        value = _number_of_text(first)
    if isinstance(value, bool | int | float):
        return float(value)
    raise OscError("bad_args", f"{arg.name} must be a number, not {value!r}"[:200])


def _number_of_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _whole(arg: Arg, value: float) -> int:
    if arg.range_text == "0..1":
        return int(value > 0)  # a switch
    if not value.is_integer():
        raise OscError("bad_args", f"{arg.name} must be a whole number, not {value!r}")
    low, high = INT32 if arg.low is None or arg.high is None else (arg.low, arg.high)
    if not low <= value <= high:
        raise OscError("out_of_range", f"{arg.name} {_digits(value)} is outside {low:.0f}..{high:.0f}")
    return int(value)


def _clipped(arg: Arg, value: float) -> float:
    at_least = value if arg.low is None else max(value, float(arg.low))
    return at_least if arg.high is None else min(at_least, float(arg.high))
