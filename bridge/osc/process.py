"""A worker process seen from the server: kept alive, watched, and replaced when it dies or hangs."""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

LOG = logging.getLogger(__name__)
MAX_LINE_BYTES = 1 << 20
SILENCE_LIMIT_S = 15.0  # a worker beats twice a second
LOADING_FACTOR = 6  # which loading libraries from a slow disk holds up
STALL_LIMIT_S = 600.0  # without progress; a model may be downloaded first
ABORT_GRACE_S = 1.0  # to write down where it hangs
CLOSE_GRACE_S = 5.0  # to finish what it writes
RESTART_PAUSE_S = 0.5  # doubled each time a worker dies before it is ready
MAX_RESTART_PAUSE_S = 30.0

Line = Mapping[str, Any]
Ending = Literal["worker_crashed", "timeout"]


class WorkerProcess:
    """A process that takes and gives JSON lines.

    Parameters
    ----------
    command
        The program and its arguments.
    on_line
        Told each line but the heartbeats.
    on_end
        Told why the process has ended, before the next one starts.
    silence_limit_s
        A process that says nothing for so long hangs.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[Line], None],
        on_end: Callable[[Ending, str], None],
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        self.pid: int | None = None
        self._command = command
        self._on_line = on_line
        self._on_end = on_end
        self._silence_limit_s = silence_limit_s
        self._process: Process | None = None
        self._closing = False
        self._is_ready = False
        self._heard_s = 0.0
        self._stopped_as: tuple[Ending, str] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the process has loaded what it needs."""
        return self._is_ready

    def start(self) -> None:
        """Start the process, and another whenever it ends; nothing if it has been started."""
        self._keeper = self._keeper or asyncio.get_running_loop().create_task(self._keep())

    def send(self, line: Line) -> None:
        """Give the process one line; it is lost if the process ends first, which `on_end` tells."""
        if self._process and self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    def stop(self, ending: Ending, reason: str) -> None:
        """End a process that hangs: first so that it can write down where, then for certain."""
        if self._process and self._stopped_as is None:
            self._stopped_as = (ending, reason)
            if sys.platform != "win32":  # where there is no signal that leaves a trace
                self._signal(signal.SIGABRT)
            asyncio.get_running_loop().call_later(ABORT_GRACE_S, self._kill, self._process)

    async def close(self) -> None:
        """End the process for good."""
        self._closing = True
        if self._process:
            self._ask_to_end(self._process)
        if self._keeper:
            await self._keeper

    def _ask_to_end(self, process: Process) -> None:
        """Close the input, which ends a worker that works, and kill one that does not."""
        if process.stdin:
            process.stdin.close()
        asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self._kill, process)

    async def _keep(self) -> None:
        pause_s = RESTART_PAUSE_S
        while not self._closing:
            was_ready = False
            try:
                was_ready = await self._run_once()
            except OSError as error:  # no memory or no files left for another process
                LOG.error("cannot start %s: %s; trying again", self._command[0], error)
            pause_s = RESTART_PAUSE_S if was_ready else min(2 * pause_s, MAX_RESTART_PAUSE_S)
            if not self._closing:
                await asyncio.sleep(pause_s)

    async def _run_once(self) -> bool:
        """Run one process to its end; return whether it was ever ready."""
        self._stopped_as = None
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, limit=MAX_LINE_BYTES
        )
        self.pid = self._process.pid
        if self._closing:  # while the process was being made
            self._ask_to_end(self._process)
        watcher = asyncio.get_running_loop().create_task(self._watch())
        try:
            code = await self._hear_out(self._process)
        finally:
            watcher.cancel()
            self._kill(self._process)
        # Before the end is told: whoever hears it must not send to the dead.
        was_ready, self._is_ready = self._is_ready, False
        if not self._closing:
            crash: tuple[Ending, str] = ("worker_crashed", _describe_exit(code))
            ending, reason = self._stopped_as or crash
            LOG.error("the worker has ended: %s; starting another", reason)
            self._on_end(ending, reason)
        return was_ready

    async def _hear_out(self, process: Process) -> int:
        """Read to the end of a process; return its exit status."""
        try:
            await self._read(process)
        except ValueError as error:  # half a line of one that was killed, or a line without end
            LOG.error("the worker cannot be understood: %s", error)
            self._kill(process)
        return await process.wait()

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        self._heard_s = asyncio.get_running_loop().time()
        while line := await process.stdout.readline():
            self._heard_s = asyncio.get_running_loop().time()
            event = json.loads(line)
            if event["event"] == "ready":
                self._is_ready = True
            if event["event"] != "beat":
                self._on_line(event)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._silence_limit_s / 10)
            silent_s = asyncio.get_running_loop().time() - self._heard_s
            limit_s = self._silence_limit_s * (1 if self._is_ready else LOADING_FACTOR)
            if silent_s > limit_s:
                self.stop("timeout", f"no sign of life from the worker for {silent_s:.1f} s")

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process and self._process.returncode is None:
                self._process.send_signal(number)

    def _kill(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()


def _describe_exit(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"
