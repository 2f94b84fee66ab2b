"""What is wrong with a preset: all of it in one error, each with its place."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from soundlasso.dsp.errors import PresetError

Keys = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing that is wrong: the keys that lead to it, and what to say."""

    keys: Keys
    text: str

    def __str__(self) -> str:
        """Say it."""
        return f"{dotted(self.keys)} {self.text}" if self.keys else self.text

    def inside(self, *keys: str | int) -> "Problem":
        """Return the same, seen from a table further out."""
        return Problem((*keys, *self.keys), self.text)


class Problems(PresetError):
    """All problems of one table, on their way to the reader, who knows the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def dotted(keys: Keys) -> str:
    """Write a path as it is typed: ``stem.drums.chain[0].ratio``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was meant, or which there are."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(words)}" if words else "there are none"


def tell(source: str, text: str, problems: Sequence[Problem], given: Mapping[Keys, str]) -> PresetError:
    """Make one error of all problems.

    Parameters
    ----------
    source
        The file, or what stands for it.
    text
        Its content, in which lines are looked up.
    given
        Settings that came from elsewhere, and from where.
    """
    told = sorted((_place(text, problem.keys, given), str(problem)) for problem in problems)
    lines = [f"{where}{words}" for (_, where), words in told]
    if len(lines) == 1:
        return PresetError(f"{source}, {lines[0]}")
    return PresetError(f"{source} has {len(lines)} mistakes:\n" + "\n".join(f"  {line}" for line in lines))


def _place(text: str, keys: Keys, given: Mapping[Keys, str]) -> tuple[float, str]:
    """Return the place to sort by, and the words for it."""
    for path, origin in given.items():
        begun_there = path[:-1] == keys[:-1] and not _has(tomllib.loads(text), keys[:-1])
        if keys[: len(path)] == path or begun_there:
            return math.inf, f"{origin}: "
    number = find_line(text, keys)
    return (math.inf, "") if number is None else (number, f"line {number}: ")


def find_line(text: str, keys: Keys) -> int | None:
    """Find the line, from 1, of a key in a TOML text; for a key that is missing, that of its table.

    A statement ends at the first line up to which the text is valid and has the key; so strings and
    arrays over many lines are told from real keys, by the one parser that knows them.
    """
    lines = text.splitlines()
    while keys:
        begun = 0
        for number in range(1, len(lines) + 1):
            document = _parsed("\n".join(lines[:number]))
            if document is None:
                continue
            if _has(document, keys):
                return begun + 1 + _offset(lines[begun:number], keys)
            begun = number
        keys = keys[:-1]
    return None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _has(value: Any, keys: Keys) -> bool:
    for key in keys:
        try:
            value = value[key]
        except (
            KeyError,
            IndexError,
            TypeError,
        ):  # TypeError: neither a table nor a list, or of the other kind
            return False
    return True


def _offset(statement: Sequence[str], keys: Keys) -> int:
    """Return in which line of a statement over many lines its item is: that of the n-th brace."""
    item = next((key for key in keys if isinstance(key, int)), 0)
    count = -1
    for number, line in enumerate(statement):
        count += line.count("{")
        if count >= item and (not isinstance(keys[-1], str) or keys[-1] in line or len(statement) == 1):
            return number
    return 0
