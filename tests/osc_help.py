"""A running OSC server and a UDP client, for the tests of the OSC server."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from soundlasso.bridge.osc.options import Options
from soundlasso.bridge.osc.packet import Message, decode, encode
from soundlasso.bridge.osc.server import Server

ANSWER_LIMIT_S = 5.0
DRAIN_LIMIT_S = 30.0
T = TypeVar("T")


class Running:
    """A server in a thread of its own, on a free port of the loopback interface."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.server, self.loop, self.port = server, loop, port
        self.faults: list[dict[str, Any]] = []

    def ask(self, function: Callable[[], T]) -> T:
        """Call a function in the server's thread."""

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(DRAIN_LIMIT_S)


@contextlib.contextmanager
def running(preload: bool = False, **options: Any) -> Iterator[Running]:
    """Run a server while the block lasts; it must end without a fault that nobody foresaw."""
    loop = asyncio.new_event_loop()
    made: list[Running] = []
    ready = threading.Event()

    async def serve() -> None:
        server = Server(Options(port=0, preload=preload, **options))
        try:
            made.append(Running(server, loop, await server.start()))
        finally:
            ready.set()
        loop.set_exception_handler(lambda _, context: made[0].faults.append(context))
        await server.stopped.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(ANSWER_LIMIT_S)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(made[0].server.stopped.set)
        thread.join(ANSWER_LIMIT_S)
        loop.close()
    assert not thread.is_alive()
    assert not made[0].faults, made[0].faults


class Ear:
    """A UDP client that remembers what it has heard."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(("127.0.0.1", port))
        self.heard: list[Message] = []

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def __enter__(self) -> "Ear":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, address: str, *args: Any) -> None:
        self.socket.send(encode(address, args))

    def listen(self, timeout_s: float) -> Message | None:
        """Return the next message, or None when none comes in time."""
        self.socket.settimeout(max(timeout_s, 1e-4))
        try:
            message = decode(self.socket.recv(70000))
        except TimeoutError:
            return None
        assert isinstance(message, Message)
        self.heard.append(message)
        return message

    def wait(self, address: str, timeout_s: float = ANSWER_LIMIT_S) -> tuple[Any, ...]:
        """Return the arguments of the next message at an address, passing over others."""
        end_s = time.monotonic() + timeout_s
        while (left_s := end_s - time.monotonic()) > 0:
            message = self.listen(left_s)
            if message and message.address == address:
                return message.args
        raise AssertionError(f"no {address} within {timeout_s} s; heard {self.heard[-5:]}")

    def ask(self, address: str, *args: Any, answer: str = "") -> tuple[Any, ...]:
        """Send a message and return the arguments of its answer, at the same address if none is named."""
        self.send(address, *args)
        return self.wait(answer or address)

    def refusal(self, address: str, *args: Any) -> str:
        """Send a message that is to be refused; return the code."""
        refused_address, code, message, *_ = self.ask(address, *args, answer="/lasso/fail")
        assert refused_address == address
        assert message == message.strip() != ""
        return str(code)

    def silence(self, duration_s: float = 0.15) -> list[Message]:
        """Return all that comes within some time."""
        end_s = time.monotonic() + duration_s
        heard = []
        while (left_s := end_s - time.monotonic()) > 0:
            message = self.listen(left_s)
            if message:
                heard.append(message)
        return heard

    def drain(self) -> None:
        """Wait until all that was sent so far has been carried out."""
        self.send("/lasso/sync", 12345)
        self.wait("/lasso/synced", DRAIN_LIMIT_S)
