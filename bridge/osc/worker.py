"""The process that renders: the model stays loaded in it, and what kills it does not kill the server.

It reads commands as JSON lines from standard input and writes events as JSON lines to standard output:

==========  ====================================================================================
command     ``{"do": "render", "job": ..., "path": ..., "queries": [...], "out": ..., "settings": {...}}``
command     ``{"do": "cancel", "job": ...}``
event       ``{"event": "beat"}`` each half second, whatever else happens; ``{"event": "ready"}`` once
event       those of `soundlasso.bridge.events`, with the ``job``
event       ``{"event": "result", "job": ..., "stems": [...], "null_db": ..., ...}``
event       ``{"event": "failed", "job": ..., "code": ..., "message": ...}``
==========  ====================================================================================
"""

import argparse
import contextlib
import dataclasses
import faulthandler
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

BEAT_S = 0.5
PROGRESS_PERIOD_S = 0.1
NICENESS = 10  # the server answers first

Line = dict[str, Any]


class Worker:
    """Carries out commands one by one; a cancel overtakes what waits."""

    def __init__(self, model: str, device: str, output: TextIO) -> None:
        self._model = model
        self._device = device
        self._output = output
        self._writing = threading.Lock()
        self._commands: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._cancels: dict[str, threading.Event] = {}
        self._last_progress_s = 0.0
        self._is_rendering = False

    def run(self, commands: TextIO) -> None:
        """Work until the commands end."""
        for target, args in ((self._beat, ()), (self._read, (commands,))):
            threading.Thread(target=target, args=args, daemon=True).start()
        self._load()
        self._write(event="ready")
        while (command := self._commands.get()) is not None:
            self._is_rendering = True
            self._render(command)
            self._is_rendering = False

    def _beat(self) -> None:
        while True:
            self._write(event="beat")
            time.sleep(BEAT_S)

    def _read(self, commands: TextIO) -> None:
        for text in commands:
            self._obey(json.loads(text))
        self._end()

    def _obey(self, command: Line) -> None:
        """Take a job, or cancel one; a cancel that comes too late must not meet the next job of that name."""
        if command["do"] == "render":
            self._cancels[command["job"]] = threading.Event()
            self._commands.put(command)
        elif cancel := self._cancels.get(command["job"]):
            cancel.set()

    def _end(self) -> None:
        """Stop rendering, or, if nothing is rendered, exit at once: loading a model takes long."""
        if not self._is_rendering:
            os._exit(0)
        for cancel in list(self._cancels.values()):
            cancel.set()
        self._commands.put(None)

    def _write(self, **line: Any) -> None:
        with self._writing:
            self._output.write(json.dumps(line) + "\n")
            self._output.flush()

    def _load(self) -> None:
        """Load the model before somebody waits for it; each job says by itself if that fails."""
        from soundlasso.dsp.errors import SoundlassoError
        from soundlasso.models.separator import load_model

        with contextlib.suppress(SoundlassoError):
            load_model(self._model, self._device).settle_threads()

    def _render(self, command: Line) -> None:
        from soundlasso.bridge.osc.errors import OscError

        job = command["job"]
        cancel = self._cancels[job]
        try:
            end: Line = {"event": "result", **self._rendered(command, cancel)}
        except OscError as error:
            end = {"event": "failed", "code": error.code, "message": error.message}
        del self._cancels[job]  # before the end is told: from then on the name may come again
        self._write(job=job, **end)

    def _rendered(self, command: Line, cancel: threading.Event) -> Line:
        """Render one job.

        Raises
        ------
        OscError
            With the code of the step that failed.
        """
        from soundlasso.bridge.automation import Change
        from soundlasso.bridge.render_plan import RenderSettings, check_plan_space, check_plans, plan_render
        from soundlasso.bridge.render_work import run_plan

        for path in (command["path"], command["out"]):
            if os.path.realpath(path) != path:  # a link since the server looked
                raise _osc_error("bad_path", f"{path!r} has become a link")
        settings = dict(command["settings"], model=self._model, device=self._device)
        settings = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
        with _coded("audio_error"):
            settings["changes"] = tuple(Change(**change) for change in settings.get("changes", ()))
            plan = plan_render(
                command["path"], command["queries"], command["out"], RenderSettings(**settings)
            )
        with _coded("exists"):
            check_plans([plan])
        with _coded("disk_full"):
            check_plan_space([plan])
        with _coded("audio_error"):
            result = run_plan(
                plan, progress=lambda event: self._progress(command["job"], event), cancel=cancel
            )
        return result.to_dict() | {"skipped": result.skipped}

    def _progress(self, job: str, event: Any) -> None:
        """Pass an event on; progress at most ten times a second."""
        if event.event == "progress":
            now_s = time.monotonic()
            if now_s - self._last_progress_s < PROGRESS_PERIOD_S and event.fraction != 1:
                return
            self._last_progress_s = now_s
        self._write(job=job, **{k: v for k, v in dataclasses.asdict(event).items() if v is not None})


def _osc_error(code: Any, message: str) -> Exception:
    from soundlasso.bridge.osc.errors import OscError

    return OscError(code, message)


@contextlib.contextmanager
def _coded(code: str) -> Iterator[None]:
    """Turn the errors of soundlasso into refusals with a code, by kind and otherwise by the step."""
    from soundlasso.bridge.osc.errors import OscError
    from soundlasso.dsp.errors import Cancelled, ModelError, QueryError, SoundlassoError

    try:
        yield
    except OscError:
        raise
    except Cancelled as error:
        raise _osc_error("cancelled", str(error)) from error
    except QueryError as error:
        raise _osc_error("bad_args", str(error)) from error
    except ModelError as error:
        raise _osc_error("model_error", str(error)) from error
    except SoundlassoError as error:
        raise _osc_error(code, str(error)) from error
    except MemoryError as error:
        raise _osc_error("out_of_memory", "not enough memory for this render") from error


def own_output() -> TextIO:
    """Keep standard output for the protocol; what libraries print goes to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def main() -> None:
    """Run a worker on this process's standard input and output."""
    parser = argparse.ArgumentParser(prog="soundlasso-worker")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    output = own_output()
    faulthandler.enable()  # the server aborts a worker that hangs, to see where
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes our input
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with contextlib.suppress(BrokenPipeError):
        Worker(arguments.model, arguments.device, output).run(sys.stdin)
    os._exit(0)  # threads that wait for a dead server's pipe must not keep us


if __name__ == "__main__":
    main()
