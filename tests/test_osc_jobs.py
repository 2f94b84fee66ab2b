"""Every job has exactly one end, whatever the worker does; a worker that dies or hangs is replaced.

The workers here are real processes that speak the worker's protocol and misbehave on request;
`test_osc_render.py` has the one that renders.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from soundlasso.bridge.osc import process
from soundlasso.bridge.osc.call import Request
from soundlasso.bridge.osc.clients import Clients, Topic
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.jobs import MAX_QUEUED, MAX_QUEUED_BY_ONE, Job, Jobs
from soundlasso.bridge.osc.packet import Message, decode

SILENCE_LIMIT_S = 2.0
END_LIMIT_S = 20.0

WORKER = """
import json, os, signal, sys, threading, time

beating = True
cancelled = set()

def say(**line):
    sys.stdout.write(json.dumps(line) + chr(10))
    sys.stdout.flush()

def beat():
    while beating:
        say(event="beat")
        time.sleep(0.1)

def render(command):
    global beating
    job, kind = command["job"], command["path"]
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        os._exit(7)
    if kind == "hang":
        beating = False
        time.sleep(100)
    if kind == "half a line":
        sys.stdout.write('{"event": "resu')
        sys.stdout.flush()
        os._exit(9)
    if kind == "endless line":
        sys.stdout.write("x" * (2 << 20))
        sys.stdout.flush()
        time.sleep(100)
    if kind == "slow":
        while job not in cancelled:
            time.sleep(0.01)
        return say(event="failed", job=job, code="cancelled", message="as asked")
    if kind == "fail":
        return say(event="failed", job=job, code="audio_error", message="no sound")
    say(event="progress", job=job, fraction=0.5, seconds_left=1.0)
    stems = [{"query": query, "path": "/x/" + query} for query in command["queries"]]
    facts = {"seconds": 3.0, "realtime_factor": 0.5, "null_db": -140.5}
    say(event="result", job=job, stems=stems, rest="/x/rest", **facts)

def work():
    say(event="ready")
    while True:
        command = commands.get()
        render(command)

import queue
commands = queue.Queue()
threading.Thread(target=beat, daemon=True).start()
threading.Thread(target=work, daemon=True).start()
for text in sys.stdin:
    command = json.loads(text)
    if command["do"] == "cancel":
        cancelled.add(command["job"])
    else:
        commands.put(command)
os._exit(0)
"""


class Listener:
    """A peer that remembers what it is sent."""

    host, is_verified = "127.0.0.1", False

    def __init__(self, port: int) -> None:
        self.name, self.port = f"udp 127.0.0.1 {port}", port
        self.heard: list[Message] = []

    def send(self, packet: bytes) -> None:
        message = decode(packet)
        assert isinstance(message, Message)
        self.heard.append(message)

    def ends(self, job: str) -> list[tuple[str, tuple[Any, ...]]]:
        """What ended a job: its /lasso/done and /lasso/fail."""
        return [
            (m.address, m.args)
            for m in self.heard
            if m.address in ("/lasso/done", "/lasso/fail") and job in m.args
        ]

    def states(self, job: str) -> list[str]:
        return [m.args[1] for m in self.heard if m.address == "/lasso/job/state" and m.args[0] == job]


class Desk:
    """Jobs, a client who asks for them, and another who only listens."""

    def __init__(self) -> None:
        self.clients = Clients()
        self.asker, self.listener = Listener(1), Listener(2)
        self.jobs = Jobs(self.clients, [sys.executable, "-c", WORKER], SILENCE_LIMIT_S)

    def submit(
        self, name: str, kind: str = "fine", peer: Listener | None = None, number: int | None = None
    ) -> None:
        request = Request(peer or self.asker, lambda peer, packet: peer.send(packet), number=number)
        settings = {"start_s": 0.0}
        self.jobs.submit(
            Job(name, request, "/lasso/render", Path(kind), Path("/x"), ("a", "b"), (1, 2), settings)
        )

    async def ended(self, *names: str) -> None:
        end_s = time.monotonic() + END_LIMIT_S
        while not all(self.jobs.find(name).has_ended for name in names):
            assert time.monotonic() < end_s, [(job.name, job.state) for job in self.jobs.all()]
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # for what the listener is told at its own pace


def run(story: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        desk = Desk()
        try:
            await story(desk)
        finally:
            await desk.jobs.close()

    asyncio.run(told())


def test_a_job_runs_and_both_clients_hear_of_it() -> None:
    async def story(desk: Desk) -> None:
        desk.clients.register(desk.listener, Topic.JOBS)
        desk.submit("j")
        await desk.ended("j")
        for peer in (desk.asker, desk.listener):
            assert peer.states("j") == ["queued", "running", "done"]
            assert peer.ends("j") == [("/lasso/done", ("/lasso/render", "j", 3, 3.0, -140.5))]
            stems = [m.args for m in peer.heard if m.address == "/lasso/job/stem"]
            assert stems == [
                ("j", 1, "a", "/x/a", 0.0),
                ("j", 2, "b", "/x/b", 0.0),
                ("j", 0, "rest", "/x/rest", 0.0),
            ]
        assert desk.jobs.speed == 2.0

    run(story)


@pytest.mark.parametrize("topics", [Topic.NOTHING, Topic.JOBS])
def test_a_command_that_comes_twice_is_answered_with_the_end_of_its_job(topics: Topic) -> None:
    async def story(desk: Desk) -> None:
        desk.clients.register(desk.asker, topics)
        desk.submit("j", number=7)
        await desk.ended("j")
        kept = [decode(packet) for packet in desk.jobs.find("j").request.answers]
        assert kept == [m for m in desk.asker.heard if m.address != "/lasso/job/progress"]
        assert kept[-1] == Message("/lasso/done", ("/lasso/render", "j", 3, 3.0, -140.5, 7))

    run(story)


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("crash", "worker_crashed", "SIGKILL"),
        ("exit", "worker_crashed", "exit status 7"),
        ("hang", "timeout", "no sign of life"),
        ("fail", "audio_error", "no sound"),
        ("half a line", "worker_crashed", ""),
        ("endless line", "worker_crashed", "SIGKILL"),
    ],
)
def test_a_job_that_fails_says_why_and_the_next_goes_on(kind: str, code: str, reason: str) -> None:
    async def story(desk: Desk) -> None:
        desk.submit("bad", kind)
        desk.submit("good")
        await desk.ended("bad", "good")
        ((address, args),) = desk.asker.ends("bad")
        assert (address, args[0], args[1], args[3]) == ("/lasso/fail", "/lasso/render", code, "bad")
        assert reason in args[2]
        assert desk.asker.states("bad")[-1] == "failed"
        assert desk.asker.states("good") == ["queued", "running", "done"]

    run(story)


def test_a_worker_killed_while_idle_is_replaced() -> None:
    async def story(desk: Desk) -> None:
        desk.submit("first")
        await desk.ended("first")
        first_pid = desk.jobs.worker.pid
        desk.jobs.worker._signal(signal.SIGKILL)
        desk.submit("second")
        await desk.ended("second")
        if desk.jobs.find("second").state == "failed":  # it was given to the one that was dying
            desk.submit("second")
            await desk.ended("second")
        assert desk.jobs.find("second").state == "done"
        assert desk.jobs.worker.pid != first_pid

    run(story)


def test_a_worker_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        command, desk.jobs.worker._command = desk.jobs.worker._command, ["/nosuch/program"]
        desk.submit("j")
        await asyncio.sleep(0.1)
        assert desk.jobs.find("j").state == "queued"
        desk.jobs.worker._command = command
        await desk.ended("j")
        assert desk.jobs.find("j").state == "done"

    monkeypatch.setattr(process, "RESTART_PAUSE_S", 0.2)
    run(story)


def test_waiting_and_running_jobs_can_be_cancelled() -> None:
    async def story(desk: Desk) -> None:
        for name in ("one", "two", "three"):
            desk.submit(name, "slow")
        while desk.jobs.running is None:
            await asyncio.sleep(0.01)
        assert desk.jobs.cancel("two") == ["two"]
        assert desk.jobs.cancel("*") == ["one", "three"]
        await desk.ended("one", "two", "three")
        for name in ("one", "two", "three"):
            assert desk.jobs.find(name).state == "cancelled"
            assert [args[1] for _, args in desk.asker.ends(name)] == ["cancelled"]
        assert desk.jobs.cancel("one") == []  # it has ended

    run(story)


def test_closing_ends_every_job() -> None:
    async def story(desk: Desk) -> None:
        desk.submit("running", "slow")
        desk.submit("waiting")
        while desk.jobs.running is None:
            await asyncio.sleep(0.01)
        await desk.jobs.close()
        assert [len(desk.asker.ends(name)) for name in ("running", "waiting")] == [1, 1]

    run(story)


def test_the_queue_is_bounded_for_one_and_for_all() -> None:
    async def story(desk: Desk) -> None:
        for i in range(MAX_QUEUED_BY_ONE):
            desk.submit(f"mine-{i}", "slow")
        with pytest.raises(OscError, match="of yours"):
            desk.submit("mine-more", "slow")
        for i in range(MAX_QUEUED - MAX_QUEUED_BY_ONE):
            desk.submit(f"theirs-{i}", "slow", desk.listener)
        with pytest.raises(OscError) as refusal:
            desk.submit("more", "slow", Listener(3))
        assert refusal.value.code == "queue_full"

    run(story)


def test_a_name_is_live_until_its_job_ends() -> None:
    async def story(desk: Desk) -> None:
        desk.submit("j")
        assert desk.jobs.live("j") is not None
        assert desk.jobs.live("other") is None
        await desk.ended("j")
        assert desk.jobs.live("j") is None
        assert desk.jobs.new_name() == "job-1"
        with pytest.raises(OscError, match="no job 'k'"):
            desk.jobs.find("k")

    run(story)


def test_closing_while_the_worker_is_being_started_ends() -> None:
    async def story(desk: Desk) -> None:
        desk.submit("j")
        await asyncio.wait_for(desk.jobs.close(), END_LIMIT_S)
        assert desk.jobs.find("j").state == "cancelled"

    run(story)
