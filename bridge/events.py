"""What happens while files are rendered, for a callback or, as JSON lines, for another program.

Each line is one object: ``event`` and ``mix`` always, the rest where it applies. The kinds:

========  ==========================================================================
stage     a stage began: ``stage`` is read, load, separate, write, picture, report or session
progress  ``fraction`` of the mix done, ``seconds_left``, ``realtime_factor``
stem      a file is in its place: ``path``, and its ``query`` unless it is the rest
warning   ``message``: something to know, such as clipped samples
done      all files of the mix are there
skipped   they were there already, from the same input, queries, model and settings
error     ``message``: this mix was not rendered
========  ==========================================================================
"""

import dataclasses
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Protocol, Self

from soundlasso.dsp.errors import SoundlassoError

Kind = Literal["stage", "progress", "stem", "warning", "done", "skipped", "error"]
Stage = Literal["read", "load", "separate", "write", "picture", "report", "session"]

_PROGRESS_PERIOD_S = 0.1  # other programs follow, they do not plot
_DESCRIPTOR = "fd:"


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that happened; see the module for the kinds and their fields."""

    event: Kind
    mix: str
    stage: Stage | None = None
    fraction: float | None = None
    seconds_left: float | None = None
    realtime_factor: float | None = None
    query: str | None = None
    path: str | None = None
    message: str | None = None

    def to_json(self) -> str:
        """Return the event as one line of JSON without the fields that do not apply."""
        fields = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)


OnEvent = Callable[[Event], None]


class Cancel(Protocol):
    """Something that says when to stop: a `threading.Event`, for one."""

    def is_set(self) -> bool:
        """Tell whether to stop."""
        ...


class Pace:
    """How fast a mix is rendered, and how long the rest will take at that pace.

    Parameters
    ----------
    seconds
        How long the mix is.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._start = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """The time since the start."""
        return time.monotonic() - self._start

    def event(self, mix: str, fraction: float) -> Event:
        """Describe the progress at this moment; ``fraction`` is more than 0."""
        elapsed_s = self.elapsed_s
        return Event(
            "progress",
            mix,
            fraction=round(fraction, 4),
            seconds_left=round(elapsed_s / fraction * (1 - fraction), 2),
            realtime_factor=round(elapsed_s / (fraction * self._seconds), 4),
        )


class EventLog:
    """JSON lines to a file or an open descriptor, each written at once.

    A reader that goes away does not stop the work: nothing more is written to it. A disk that is full is
    told, once. Bytes in a path that are no UTF-8 become JSON escapes, which Python reads back as such.

    Parameters
    ----------
    target
        A path, which is replaced, or ``fd:N`` for a descriptor that the caller opened for us.

    Raises
    ------
    SoundlassoError
        The target cannot be written.
    """

    def __init__(self, target: str) -> None:
        number = target.removeprefix(_DESCRIPTOR)
        is_descriptor = target.startswith(_DESCRIPTOR) and number.isdecimal()
        try:
            self._file = open(int(number) if is_descriptor else target, "wb", buffering=0)
        except (OSError, TypeError, ValueError) as error:  # such as a number too large, or a NUL byte
            reason = getattr(error, "strerror", None) or error
            raise SoundlassoError(f"cannot write events to {target!r}: {reason}") from error
        self._target = target
        self._alive = True
        self._last_progress_s = -_PROGRESS_PERIOD_S

    def __call__(self, event: Event) -> None:
        """Write one event; progress at most ten times a second.

        Raises
        ------
        SoundlassoError
            The event cannot be written; further ones are passed over.
        """
        if not self._alive:
            return
        if event.event == "progress":
            now_s = time.monotonic()
            if now_s - self._last_progress_s < _PROGRESS_PERIOD_S and event.fraction != 1:
                return
            self._last_progress_s = now_s
        self._write((event.to_json() + "\n").encode(errors="backslashreplace"))

    def _write(self, line: bytes) -> None:
        try:
            while line:  # the system may take a part
                line = line[self._file.write(line) :]
        except BrokenPipeError:
            self._alive = False
        except OSError as error:
            self._alive = False
            raise SoundlassoError(f"cannot write events to {self._target!r}: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()
