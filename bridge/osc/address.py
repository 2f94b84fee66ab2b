"""Match OSC address patterns in linear time.

A pattern may hold ``?``, ``*``, ``[a-z]``, ``[!abc]`` and ``{one,two}`` within one part of an address (they
never match a ``/``), and ``//`` for any number of parts (OSC 1.1). A regular expression takes exponential
time on a pattern such as ``*a*a*a*a*a!``. Here the set of places that a pattern can have reached in the text
is one integer, a bit for each place, and every piece of the pattern moves all of them at once, forward only.

Source: Open Sound Control 1.0, "OSC Message Dispatching and Pattern Matching".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from soundlasso.bridge.osc.errors import OscError

MAX_PART_CHARS = 128

_SPECIAL = frozenset("?*[]{}")


def is_pattern(address: str) -> bool:
    """Whether an address asks for more than one place."""
    return "//" in address or not _SPECIAL.isdisjoint(address)


@dataclass(frozen=True, slots=True)
class _Any:
    """`*`: any run of characters."""

    shortest = 0

    def advance(self, places: int, text: str) -> int:
        # Every place from the first reached one to the end of the text.
        first = places & -places
        return ((1 << (len(text) + 1)) - 1) & ~(first - 1) if places else 0


@dataclass(frozen=True, slots=True)
class _One:
    """`?`, `[...]` or a plain character: one character in some ranges, or one outside them."""

    ranges: tuple[tuple[str, str], ...]
    inside: bool = True
    shortest = 1

    def advance(self, places: int, text: str) -> int:
        hits = sum(1 << i for i, letter in enumerate(text) if self._has(letter) is self.inside)
        return (places & hits) << 1

    def _has(self, letter: str) -> bool:
        return any(first <= letter <= last for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class _Words:
    """`{one,two}`: one of some words, which are plain text."""

    words: tuple[str, ...]

    @property
    def shortest(self) -> int:
        return min(map(len, self.words))

    def advance(self, places: int, text: str) -> int:
        reached = 0
        for word in self.words:
            hits = sum(1 << i for i in range(len(text)) if text.startswith(word, i))
            reached |= (places & hits) << len(word) if word else places
        return reached


_Piece = _Any | _One | _Words


class PartPattern:
    """A pattern for one part of an address, the text between two slashes.

    Raises
    ------
    OscError
        With code ``malformed``, for a bracket that is not closed or an empty range;
        ``too_large``, for more than `MAX_PART_CHARS`.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PART_CHARS:
            raise OscError(
                "too_large", f"pattern part of {len(pattern)} characters; the most is {MAX_PART_CHARS}"
            )
        self._plain = None if is_pattern(pattern) else pattern  # most parts of most patterns
        self._pieces = tuple(_pieces(re.sub(r"\*+", "*", pattern)))
        self._shortest = sum(piece.shortest for piece in self._pieces)

    def matches(self, text: str) -> bool:
        """Whether the pattern covers the whole of `text`."""
        if self._plain is not None:
            return text == self._plain
        if self._shortest > len(text):
            return False
        places = 1
        for piece in self._pieces:
            places = piece.advance(places, text)
        return bool(places >> len(text) & 1)


@lru_cache(maxsize=1024)
def part_pattern(pattern: str) -> PartPattern:
    """`PartPattern(pattern)`, remembered; faders repeat the same few patterns."""
    return PartPattern(pattern)


def _pieces(pattern: str) -> Iterable[_Piece]:
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        if letter in "[{":
            end = _closing(pattern, at)
            inside = pattern[at + 1 : end]
            yield _letters(inside, pattern) if letter == "[" else _Words(tuple(inside.split(",")))
            at = end
        elif letter in "]}":
            raise OscError("malformed", f"{letter!r} without its opening bracket in pattern {pattern!r}")
        elif letter == "*":
            yield _Any()
        else:
            yield _One((), inside=False) if letter == "?" else _One(((letter, letter),))
        at += 1


def _closing(pattern: str, at: int) -> int:
    end = pattern.find("]" if pattern[at] == "[" else "}", at)
    if end < 0:
        raise OscError("malformed", f"{pattern[at]!r} is not closed in pattern {pattern!r}")
    return end


def _letters(inside: str, pattern: str) -> _One:
    """Read the inside of `[...]`: single characters and ranges; `!` first means all others."""
    negated = inside.startswith("!")
    inside = inside[negated:]
    ranges = []
    at = 0
    while at < len(inside):
        is_range = inside[at + 1 : at + 2] == "-" and at + 2 < len(inside)
        last = inside[at + 2] if is_range else inside[at]
        if last < inside[at]:
            raise OscError("malformed", f"empty range {inside[at : at + 3]!r} in pattern {pattern!r}")
        ranges.append((inside[at], last))
        at += 3 if is_range else 1
    return _One(tuple(ranges), inside=not negated)
