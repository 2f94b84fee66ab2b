"""What a script in a DAW asks for, as a small text file.

Scripts in REAPER and Ardour can write a file and start a program; they read no JSON, and text that a user
types must not pass through a shell. So a script writes a *request*, one ``key<TAB>value`` a line:

=========  ===========================================================================
path       the audio file, or one file for each channel, in order
start_s    where to begin, in seconds; 0 if it is not given
length_s   how much to render; all if it is not given
query      a sound to pull out; one line for each
out        the folder in which a new folder for the stems is made
=========  ===========================================================================
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soundlasso.dsp.errors import SoundlassoError

_ONCE = ("out", "start_s", "length_s")
_KEYS = ("path", "query", *_ONCE)


@dataclass(frozen=True, slots=True)
class Request:
    """What a script asks for.

    Attributes
    ----------
    paths
        The audio file, or one file for each channel.
    """

    paths: tuple[Path, ...]
    queries: tuple[str, ...]
    out: Path
    start_s: float = 0.0
    length_s: float | None = None


def read_request(path: Path) -> Request:
    """Read a request.

    Raises
    ------
    SoundlassoError
        It cannot be read, a line is wrong, or one is missing.
    """
    given = _read_lines(path)
    for key in _ONCE:
        if len(given[key]) > 1:
            raise SoundlassoError(f"the request gives {key} {len(given[key])} times; give it once")
    for key in ("path", "query", "out"):
        if not given[key]:
            raise SoundlassoError(f"the request names no {key}")
    return Request(
        tuple(map(Path, given["path"])),
        tuple(given["query"]),
        Path(given["out"][0]),
        _seconds(given["start_s"]) or 0.0,
        _seconds(given["length_s"]),
    )


def _read_lines(path: Path) -> dict[str, list[str]]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SoundlassoError(f"cannot read the request {str(path)!r}: {error}") from error
    given: dict[str, list[str]] = {key: [] for key in _KEYS}
    for number, line in enumerate(lines, 1):
        key, tab, value = line.partition("\t")
        if key not in given or not tab:
            raise SoundlassoError(
                f"line {number} of the request is {line[:200]!r}; right would be a tab after "
                f"one of {', '.join(_KEYS)}"
            )
        given[key].append(value)
    return given


def _seconds(texts: Sequence[str]) -> float | None:
    for text in texts:
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds):
            raise SoundlassoError(f"{text[:64]!r} is no number of seconds; an example is 1.5")
        return seconds
    return None
