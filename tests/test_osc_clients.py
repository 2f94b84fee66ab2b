"""Clients are told at a bounded pace, the newest value wins, and one that goes away takes nothing with it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from soundlasso.bridge.osc.clients import (
    BURST_MESSAGES,
    BURST_PAUSE_S,
    MAX_CLIENTS,
    MAX_LISTENED,
    MAX_PENDING,
    Clients,
    Outbox,
    Topic,
)
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.limits import RateLimit
from soundlasso.bridge.osc.options import Options
from soundlasso.bridge.osc.packet import encode
from soundlasso.bridge.osc.server import Server


class Place:
    """A peer that remembers when it was sent what."""

    host, is_verified = "127.0.0.1", False

    def __init__(self, port: int = 1, host: str = "127.0.0.1") -> None:
        self.name, self.port, self.host = f"udp {host} {port}", port, host
        self.heard: list[bytes] = []
        self.on_send: Callable[[], None] = lambda: None

    def send(self, packet: bytes) -> None:
        self.heard.append(packet)
        self.on_send()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


async def empty(outbox: Outbox, place: Place, count: int) -> None:
    """Wait until a number of messages has been sent."""
    async with asyncio.timeout(10):
        while len(place.heard) < count:
            await asyncio.sleep(0.001)
    outbox.close()


def test_the_newest_value_of_an_address_is_sent_and_order_is_kept() -> None:
    async def story() -> None:
        place = Place()
        outbox = Outbox(place)
        outbox.put(b"a1", replaces="a")
        outbox.put(b"event 1")
        outbox.put(b"a2", replaces="a")
        outbox.put(b"event 2")
        await empty(outbox, place, 3)
        assert place.heard == [b"event 1", b"a2", b"event 2"]

    run(story)


def test_bursts_are_bounded() -> None:
    async def story() -> None:
        place = Place()
        outbox = Outbox(place)
        loop = asyncio.get_running_loop()
        times_s: list[float] = []
        place.on_send = lambda: times_s.append(loop.time())
        for i in range(3 * BURST_MESSAGES):
            outbox.put(str(i).encode())
        await empty(outbox, place, 3 * BURST_MESSAGES)
        for burst in (1, 2):
            start = burst * BURST_MESSAGES
            assert times_s[start] - times_s[start - 1] >= 0.9 * BURST_PAUSE_S
        assert place.heard == [str(i).encode() for i in range(3 * BURST_MESSAGES)]

    run(story)


def test_what_waits_is_sent_before_the_server_ends() -> None:
    async def story() -> None:
        server, place = Server(Options(preload=False)), Place(9)
        server.clients.register(place, Topic.JOBS)
        count = 3 * BURST_MESSAGES
        for i in range(count):
            server.publish("/lasso/job/state", ["j", str(i)], Topic.JOBS)
        await server.stop()
        assert place.heard == [
            *(encode("/lasso/job/state", ["j", str(i)]) for i in range(count)),
            encode("/lasso/shutdown"),
        ]

    run(story)


def test_what_waits_is_bounded_and_drops_are_counted() -> None:
    async def story() -> None:
        outbox = Outbox(Place())
        for _ in range(MAX_PENDING + 5):
            outbox.put(b"x")
        assert outbox.dropped == 5
        outbox.close()

    run(story)


def test_a_passing_sender_has_one_way_out_while_it_holds_something() -> None:
    async def story() -> None:
        server, place = Server(Options(preload=False)), Place(9)
        for _ in range(50):
            server.received(place, encode("/lasso/list"))
        await asyncio.sleep(0)
        assert len(server._passing) == 1
        assert server._passing[place.name].dropped > 0  # fifty lists are more than may wait
        await asyncio.sleep(1.5)
        assert len(place.heard) <= MAX_PENDING
        assert len(server._passing) == 0

    asyncio.run(story())


def test_a_client_may_vanish_while_it_is_told() -> None:
    async def story() -> None:
        clients, place = Clients(), Place()
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        clients.register(place, Topic.PARAMETERS)
        place.on_send = lambda: clients.unreachable(place.name)
        for i in range(10):
            clients.publish(f"/lasso/x{i}", [i], Topic.PARAMETERS)
        async with asyncio.timeout(10):
            while len(clients):
                await asyncio.sleep(0.001)
        assert len(place.heard) == 3
        assert faults == []

    run(story)


def test_each_is_told_what_it_asked_for_and_its_own_changes_only_on_request() -> None:
    async def story() -> None:
        clients = Clients()
        author, echoed, listener, deaf = (Place(port) for port in range(1, 5))
        clients.register(author, Topic.PARAMETERS)
        clients.register(echoed, Topic.PARAMETERS | Topic.ECHO)
        clients.listen(listener, "/lasso/mix")
        clients.register(deaf, Topic.JOBS)
        clients.publish("/lasso/mix", [1.0], Topic.PARAMETERS, by=author)
        clients.publish("/lasso/gate", [1], Topic.PARAMETERS, by=echoed)
        await asyncio.sleep(0.2)  # several periods of updates
        mix, gate = encode("/lasso/mix", [1.0]), encode("/lasso/gate", [1])
        assert author.heard == [gate]
        assert echoed.heard == [mix, gate]
        assert listener.heard == [mix]
        assert deaf.heard == []
        clients.ignore(listener, "/lasso/mix")
        assert clients.find(listener) is None
        for client in clients:
            clients.unregister(client.peer)

    run(story)


def test_answers_go_to_the_one_port_that_a_host_has_registered() -> None:
    async def story() -> None:
        clients, once = Clients(), Place(100)
        dump, other_host = Place(1), Place(1, "192.0.2.1")
        assert clients.elsewhere(once) is None
        for place in (dump, other_host):
            clients.register(place, Topic.NOTHING).is_for_host = True
        assert clients.elsewhere(once) is dump
        assert clients.elsewhere(dump) is None
        clients.register(Place(2), Topic.NOTHING).is_for_host = True
        assert clients.elsewhere(once) is None  # nobody knows which

    run(story)


def test_clients_and_addresses_are_bounded() -> None:
    async def story() -> None:
        clients = Clients()
        for port in range(MAX_CLIENTS):
            clients.register(Place(port), Topic.NOTHING)
        clients.register(Place(0), Topic.JOBS)  # one that is known may change its mind
        with pytest.raises(OscError, match="registered already"):
            clients.register(Place(MAX_CLIENTS), Topic.NOTHING)
        for i in range(MAX_LISTENED):
            clients.listen(Place(0), f"/{i}")
        with pytest.raises(OscError, match="listened to already"):
            clients.listen(Place(0), "/more")

    run(story)


def test_permits_come_back_with_time() -> None:
    now_s = 0.0
    limit = RateLimit(2, clock=lambda: now_s)
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    assert limit.allows("b")
    now_s = 0.5
    assert [limit.allows("a") for _ in range(2)] == [True, False]
    now_s = 100.0
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
