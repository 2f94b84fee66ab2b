"""Times as people write them on a command line."""

import re

import typer

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d\d(?:\.\d*)?)")


def read_seconds(text: str | float) -> float:
    """Read a time in seconds, as ``90``, ``1:30`` or ``0:01:30``.

    Raises
    ------
    typer.BadParameter
        It is written in another way, or has 60 or more where a minute or an hour would be full.
    """
    clock = _CLOCK.fullmatch(str(text))
    if clock is None:
        return _number(text)
    hours, minutes, seconds = (float(part or 0) for part in clock.groups())
    if seconds >= 60 or (clock[1] and minutes >= 60):
        raise _no_time(text)
    return hours * 3600 + minutes * 60 + seconds


def _number(text: str | float) -> float:
    try:
        return float(text)
    except ValueError:
        raise _no_time(text) from None


def _no_time(text: str | float) -> typer.BadParameter:
    return typer.BadParameter(f"{text!r} is no time; write seconds, m:ss or h:mm:ss, as 90 or 1:30")
