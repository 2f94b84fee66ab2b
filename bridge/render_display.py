"""Show a render's progress to a person: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from soundlasso.bridge.events import Event
from soundlasso.bridge.naming import printable

_LINE_PERIOD_S = 10.0
_STAGES = {
    "load": "loading the model",
    "read": "reading",
    "separate": "separating",
    "write": "writing",
    "picture": "drawing",
    "report": "making the page",
    "session": "writing sessions",
}


def describe_pace(event: Event) -> str:
    """Say how long it will take, and how much time a second of sound takes."""
    left = "" if event.seconds_left is None else f"{_clock(event.seconds_left)} left"
    return left if event.realtime_factor is None else f"{left}, {event.realtime_factor:.3f} of real time"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"


def _label(event: Event) -> str:
    return printable(Path(event.mix).name)


class Lines:
    """One line when a stage of a mix begins, and one every ten seconds.

    Parameters
    ----------
    stream
        Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_s = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show an event, if it is time to."""
        text = self._text(event)
        if text:
            print(f"{_label(event)}: {text}", file=self._stream, flush=True)
            self._last_s = time.monotonic()

    def _text(self, event: Event) -> str:
        if event.event == "stage" and event.stage in ("separate", "picture"):
            return _STAGES[event.stage]
        if event.event == "progress" and event.fraction is not None and self._is_due():
            return f"{event.fraction:.0%}, {describe_pace(event)}"
        return ""

    def _is_due(self) -> bool:
        return time.monotonic() - self._last_s >= _LINE_PERIOD_S

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let results be printed: lines get in nobody's way."""
        yield

    def __enter__(self) -> Self:
        """Return the display."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: lines need no end."""


class Bars:
    """A bar for each mix at work, with time left and real-time factor.

    Parameters
    ----------
    stream
        The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
        )
        self._progress = Progress(*columns, console=Console(file=stream), transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event.event in ("done", "skipped", "error"):
            task = self._tasks.pop(event.mix, None)
            if task is not None:
                self._progress.remove_task(task)
            return
        if event.mix not in self._tasks:
            self._tasks[event.mix] = self._progress.add_task(_label(event), total=1.0, pace="")
        task = self._tasks[event.mix]
        if event.event == "stage" and event.stage is not None:
            self._progress.update(task, pace=_STAGES[event.stage])
        elif event.event == "progress":
            self._progress.update(task, completed=event.fraction, pace=describe_pace(event))

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bars away while results are printed."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars away, so that only results stay on the screen."""
        self._progress.stop()
