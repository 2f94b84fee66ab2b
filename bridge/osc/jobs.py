"""Renders: a queue of jobs for the worker process, each with exactly one end that is told."""

import asyncio
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from soundlasso.bridge.osc.call import Request
from soundlasso.bridge.osc.clients import Clients, Topic
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import encode
from soundlasso.bridge.osc.process import SILENCE_LIMIT_S, STALL_LIMIT_S, Ending, Line, WorkerProcess

MAX_QUEUED = 64
MAX_QUEUED_BY_ONE = 32
MAX_REMEMBERED = 256  # jobs that have ended

JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(slots=True)
class Job:
    """One render.

    Attributes
    ----------
    name
        What the client, or else the server, calls it.
    request
        Who asked for it.
    address
        The command that asked for it, as the last answer names it.
    queries, slots
        The sounds, and the slot of each.
    """

    name: str
    request: Request
    address: str
    path: Path
    out: Path
    queries: tuple[str, ...]
    slots: tuple[int, ...]
    settings: dict[str, Any]
    state: JobState = "queued"
    progress: float = 0.0
    left_s: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("done", "failed", "cancelled")

    def command(self) -> dict[str, Any]:
        """Return what the worker is to do."""
        return {
            "do": "render",
            "job": self.name,
            "path": str(self.path),
            "queries": self.queries,
            "out": str(self.out),
            "settings": self.settings,
        }


def worker_command(model: str, device: str) -> list[str]:
    """Return what starts a worker that renders with a model."""
    return [sys.executable, "-m", "soundlasso.bridge.osc.worker", "--model", model, "--device", device]


class Jobs:
    """All jobs, one running at a time in the order they came.

    Parameters
    ----------
    clients
        Told about every job.
    command
        Starts the worker; `worker_command` makes it.
    silence_limit_s
        A worker that says nothing for so long is replaced.
    """

    def __init__(
        self, clients: Clients, command: Sequence[str], silence_limit_s: float = SILENCE_LIMIT_S
    ) -> None:
        self.worker = WorkerProcess(command, self._on_line, self._on_end, silence_limit_s)
        self.speed = 0.0  # of the last render: seconds of sound in a second
        self._clients = clients
        self._jobs: dict[str, Job] = {}
        self._running: Job | None = None
        self._numbers = itertools.count(1)
        self._stall: asyncio.TimerHandle | None = None

    @property
    def running(self) -> Job | None:
        """The job that is being rendered."""
        return self._running

    @property
    def queued(self) -> list[Job]:
        """The jobs that wait, first come first."""
        return [job for job in self._jobs.values() if job.state == "queued"]

    def all(self) -> list[Job]:
        """Return all jobs that are remembered, oldest first."""
        return list(self._jobs.values())

    def find(self, name: str) -> Job:
        """Return a job.

        Raises
        ------
        OscError
            With code ``not_found``.
        """
        if name not in self._jobs:
            raise OscError("not_found", f"no job {name!r}; /lasso/job/list tells all")
        return self._jobs[name]

    def live(self, name: str | None) -> Job | None:
        """Return the job of a name, if it has not ended; asking for it again must not start it again."""
        job = self._jobs.get(name or "")
        return None if job is None or job.has_ended else job

    def new_name(self) -> str:
        """Return a name that no job has."""
        return next(name for n in self._numbers if (name := f"job-{n}") not in self._jobs)

    def submit(self, job: Job) -> None:
        """Put a job into the queue.

        Raises
        ------
        OscError
            With code ``queue_full``, for all or for this client.
        """
        queued = self.queued
        if len(queued) >= MAX_QUEUED:
            raise OscError("queue_full", f"{MAX_QUEUED} jobs are waiting already")
        if sum(other.request.peer.name == job.request.peer.name for other in queued) >= MAX_QUEUED_BY_ONE:
            raise OscError("queue_full", f"{MAX_QUEUED_BY_ONE} jobs of yours are waiting already")
        self._jobs.pop(job.name, None)
        self._jobs[job.name] = job
        self._forget_old()
        self._tell_state(job)
        self.worker.start()
        self._start_next()

    def cancel(self, name: str) -> list[str]:
        """Cancel a job, or all with "*"; return the names of those that had not ended.

        Raises
        ------
        OscError
            With code ``not_found``.
        """
        jobs = self.all() if name == "*" else [self.find(name)]
        cancelled = [job for job in jobs if not job.has_ended]
        for job in cancelled:
            if job is self._running:
                self.worker.send({"do": "cancel", "job": job.name})
            else:
                self._end(job, OscError("cancelled", f"job {job.name!r} was cancelled before it began"))
        return [job.name for job in cancelled]

    async def close(self) -> None:
        """Cancel all and end the worker."""
        self.cancel("*")
        if self._stall:
            self._stall.cancel()
        await self.worker.close()
        if self._running:
            self._end(self._running, OscError("cancelled", "the server ends"))

    # What the worker tells

    def _on_line(self, line: Line) -> None:
        job = self._running
        if line["event"] == "ready":
            return self._start_next()
        if job is None or line.get("job") != job.name:
            return
        self._watch_stall()
        if line["event"] == "progress":
            job.progress, job.left_s = line["fraction"], line["seconds_left"]
            self._tell(job, "/lasso/job/progress", job.name, job.progress, job.left_s)
        elif line["event"] == "result":
            self._succeed(job, dict(line))
        elif line["event"] == "failed":
            self._end(job, OscError(line["code"], line["message"]))

    def _on_end(self, ending: Ending, reason: str) -> None:
        if self._running:
            self._end(self._running, OscError(ending, f"the worker has ended: {reason}; it is replaced"))

    # The course of a job

    def _start_next(self) -> None:
        queued = self.queued
        if self._running or not queued or not self.worker.is_ready:
            return
        self._running = job = queued[0]
        job.state = "running"
        self._tell_state(job)
        self.worker.send(job.command())
        self._watch_stall()

    def _watch_stall(self) -> None:
        """Stop the worker if the running job gets no further."""
        if self._stall:
            self._stall.cancel()
        reason = f"no progress for {STALL_LIMIT_S:g} s"
        self._stall = asyncio.get_running_loop().call_later(
            STALL_LIMIT_S, self.worker.stop, "timeout", reason
        )

    def _succeed(self, job: Job, result: dict[str, Any]) -> None:
        job.result = result
        self.speed = 1 / max(result["realtime_factor"], 1e-9)
        stems = [
            (slot, stem["query"], stem["path"]) for slot, stem in zip(job.slots, result["stems"], strict=True)
        ]
        files = [*stems, (0, "rest", result["rest"])]
        written = [file for file in files if file[2] is not None]
        for slot, query, path in written:
            self._tell(job, "/lasso/job/stem", job.name, slot, query, path, job.settings["start_s"])
        self._end(job, None, len(written), float(result["seconds"]), *_null_depth(result))

    def _end(self, job: Job, error: OscError | None, *facts: Any) -> None:
        """Tell the end of a job, once, and start the next."""
        if error is None:
            job.state, job.progress = "done", 1.0
        else:
            job.state = "cancelled" if error.code == "cancelled" else "failed"
        if job is self._running:
            self._running = None
            if self._stall:
                self._stall.cancel()
        self._tell_state(job)
        number = () if job.request.number is None else (job.request.number,)
        if error is None:
            self._tell(job, "/lasso/done", job.address, job.name, *facts, *number)
        else:
            self._tell(job, "/lasso/fail", job.address, error.code, error.message[:512], job.name, *number)
        self._start_next()

    def _tell_state(self, job: Job) -> None:
        self._tell(job, "/lasso/job/state", job.name, job.state)

    def _tell(self, job: Job, address: str, *args: Any) -> None:
        """Tell the clients that follow jobs, and the one who asked if it is none of them."""
        self._clients.publish(address, args, Topic.JOBS)
        packet = encode(address, args)
        if address != "/lasso/job/progress":
            job.request.keep(packet)
        client = self._clients.find(job.request.peer)
        if client is None or not client.wants(address, Topic.JOBS):
            job.request.peer.send(packet)

    def _forget_old(self) -> None:
        ended = [job.name for job in self._jobs.values() if job.has_ended]
        for name in ended[:-MAX_REMEMBERED]:
            del self._jobs[name]


def _null_depth(result: dict[str, Any]) -> Sequence[float]:
    """Return what is left when stems and rest are subtracted from the mix, if the rest was written."""
    return () if result["null_db"] is None else (float(result["null_db"]),)
