"""Many mixes, one after another or several at once; a bad one stops none of the others.

Each worker is a process of its own with the model loaded once.  It is told of one plan at a time, so a
worker that dies takes one mix with it, and what it left is removed.  Ctrl-C reaches the parent alone, which
asks the workers to stop at their next block; a worker whose parent is gone stops when it next has something
to say.  In either case what is half-written is removed.
"""

import collections
import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, NamedTuple

from soundlasso.bridge.audiofile_write import remove_leavings
from soundlasso.bridge.events import Cancel, Event, OnEvent
from soundlasso.bridge.render_plan import RenderPlan
from soundlasso.bridge.render_result import RenderResult
from soundlasso.bridge.unforeseen import reason_of

_STOP_TIMEOUT_S = 20.0  # a block takes well below a second, a window of AudioSep's network several
_IMPORTED_ONCE = [
    "soundlasso.bridge.render_work",
    "soundlasso.bridge.presets.rendering",
    "soundlasso.models.separator",
]
_KILLED = 9  # what a system does to a process that asks for more memory than there is


class Outcome(NamedTuple):
    """What became of one mix: a result, or what went wrong."""

    plan: RenderPlan
    result: RenderResult | None
    error: str
    took_s: float
    peak_memory_mb: float | None


def run_batch(
    plans: Sequence[RenderPlan], *, jobs: int = 1, progress: OnEvent
) -> Generator[Outcome, None, None]:
    """Render plans; yield what became of each as soon as it is known.

    Parameters
    ----------
    plans
        All by one model.
    jobs
        How many processes work at once; 1 renders in this one.
    progress
        Called with each event of each mix, in this process.

    Yields
    ------
    Outcome
        In the order in which they end.
    """
    if min(jobs, len(plans)) > 1:
        with contextlib.closing(_Pool(jobs, plans, progress).run()) as outcomes:
            yield from outcomes
        return
    for plan in plans:
        yield _attempt(plan, progress, None)


def share_threads(plan: RenderPlan, jobs: int) -> None:
    """Load a plan's model, and set torch to the threads that one of so many processes should use."""
    import torch

    from soundlasso.models.separator import load_model

    model = load_model(plan.settings.model, plan.settings.device)
    if jobs > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))
    model.settle_threads()


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has held, where the system tells."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _attempt(plan: RenderPlan, progress: OnEvent, cancel: Cancel | None) -> Outcome:
    from soundlasso.bridge.render_work import run_plan

    started_s = time.monotonic()
    result, error = None, ""
    try:
        result = run_plan(plan, progress=progress, cancel=cancel)
    except Exception as failure:  # of any kind, or a bad file would stop the others
        error = reason_of(failure, f"rendering {str(plan.mix.path)!r}")
    return Outcome(plan, result, error, time.monotonic() - started_s, peak_memory_mb())


def _context() -> BaseContext:
    """Return how to start workers: anew, or on Linux as copies of a process that has imported all.

    The copies start in a second instead of several, and share the memory of what is imported.  They are
    not made of this process, whose threads may be computing.
    """
    if sys.platform != "linux":  # elsewhere system libraries do not survive being copied
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    return context


class _Worker(NamedTuple):
    """A process, and the pipe to it."""

    process: BaseProcess
    pipe: "Connection[Any, Any]"


class _Pool:
    """Processes that render plans from one list."""

    def __init__(self, jobs: int, plans: Sequence[RenderPlan], progress: OnEvent) -> None:
        self._context = _context()
        self._waiting = collections.deque(plans)
        self._jobs = min(jobs, len(plans))
        self._progress = progress
        self._cancel = self._context.Event()
        self._busy: dict[Any, tuple[_Worker, RenderPlan]] = {}

    def run(self) -> Generator[Outcome, None, None]:
        """Render all; when this is left early, nothing half-written stays."""
        try:
            for _ in range(self._jobs):
                self._give(self._start())
            while self._busy:
                for pipe in wait(list(self._busy)):
                    outcome = self._hear(pipe)
                    if outcome is not None:
                        yield outcome
        finally:
            self._stop()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(  # type: ignore[attr-defined]  # each kind of context has its own
            target=_work, args=(theirs, self._cancel, self._jobs), daemon=True, name="soundlasso-render"
        )
        with _ignoring_interrupts():  # which the process takes over, from its first moment
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _give(self, worker: _Worker) -> None:
        """Give a worker the next plan, or let it go."""
        if not self._waiting:
            worker.pipe.close()
            worker.process.join()
            return
        plan = self._waiting.popleft()
        with contextlib.suppress(BrokenPipeError):  # it died; waiting for its answer tells
            worker.pipe.send(plan)
        self._busy[worker.pipe] = worker, plan

    def _hear(self, pipe: Any) -> Outcome | None:
        worker, plan = self._busy[pipe]
        try:
            told = pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._bury(worker, plan)
        if isinstance(told, Event):
            self._progress(told)
            return None
        del self._busy[pipe]
        self._give(worker)
        assert isinstance(told, Outcome)
        return told

    def _bury(self, worker: _Worker, plan: RenderPlan) -> Outcome:
        """Count a dead worker's mix as failed, and start another for the rest."""
        del self._busy[worker.pipe]
        worker.pipe.close()
        worker.process.join()
        for folder in {path.parent for path in plan.files}:
            remove_leavings(folder, worker.process.pid or 0)
        if self._waiting:
            self._give(self._start())
        code = worker.process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
        hint = "; fewer --jobs need less memory" if code == -_KILLED else ""
        error = f"the process that rendered {str(plan.mix.path)!r} ended {how}{hint}"
        return Outcome(plan, None, error, 0.0, None)

    def _stop(self) -> None:
        self._cancel.set()
        for worker, _ in self._busy.values():
            worker.pipe.close()
        for worker, _ in self._busy.values():
            worker.process.join(_STOP_TIMEOUT_S)
            if worker.process.is_alive():
                worker.process.terminate()
                worker.process.join()


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(pipe: "Connection[Any, Any]", cancel: Cancel, jobs: int) -> None:
    """Render what comes through the pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        plan = pipe.recv()
        share_threads(plan, jobs)
        while True:
            pipe.send(_attempt(plan, pipe.send, cancel))
            plan = pipe.recv()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
