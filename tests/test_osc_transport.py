"""TCP in both framings on the port of UDP; slow, half-open, flooding and hostile peers harm nobody else."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from pythonosc import slip

from soundlasso.bridge.osc import connection
from soundlasso.bridge.osc.clients import Peer
from soundlasso.bridge.osc.connection import Connection
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.framing import Framing, LengthPrefixed, Slip
from soundlasso.bridge.osc.packet import NTP_TO_UNIX_S, Message, decode, encode
from soundlasso.bridge.osc.receiver import Web
from soundlasso.bridge.osc.transport import open_port
from tests.osc_help import ANSWER_LIMIT_S, Ear, Running
from tests.test_osc_packet import ACCEPTED, REFUSED, raw_bundle, raw_message

PING_LIMIT_S = 0.1  # after each hostile packet, with others computing on the same machine
FLOOD_PACKETS = 3_000


class Line:
    """A TCP client."""

    def __init__(self, port: int, framing: Framing) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_LIMIT_S)
        self.framing = framing
        self.packets: list[bytes] = []

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, address: str, *args: object) -> None:
        self.socket.sendall(self.framing.frame(encode(address, args)))

    def wait(self, address: str) -> tuple[object, ...]:
        while True:
            while self.packets:
                message = decode(self.packets.pop(0))
                assert isinstance(message, Message)
                if message.address == address:
                    return message.args
            data = self.socket.recv(65536)
            assert data, "the server has ended the connection"
            self.packets += [packet for packet in self.framing.feed(data) if isinstance(packet, bytes)]

    def is_closed(self) -> bool:
        """Whether the server ends the connection in time."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True


@pytest.fixture(params=[Slip, LengthPrefixed])
def line(server: Running, request: pytest.FixtureRequest) -> Iterator[Line]:
    with Line(server.port, request.param()) as made:
        yield made


def test_a_connection_is_answered_in_its_own_framing(line: Line) -> None:
    line.send("/lasso/ping", 1, "héllo")
    assert line.wait("/lasso/pong") == (1, "héllo")


def test_large_packets_go_through(line: Line) -> None:
    line.send("/lasso/ping", "z" * 120_000)
    assert line.wait("/lasso/pong") == ("z" * 120_000,)


def test_packets_may_come_in_pieces_or_together(line: Line) -> None:
    stream = b"".join(line.framing.frame(encode("/lasso/ping", [i])) for i in range(300))
    for start in range(0, len(stream), 1001):
        line.socket.sendall(stream[start : start + 1001])
    assert [line.wait("/lasso/pong") for _ in range(300)] == [(i,) for i in range(300)]


def test_a_wrong_packet_does_not_end_the_connection(line: Line) -> None:
    for data, code in REFUSED.values():
        if 0 < len(data) < 65536:
            line.socket.sendall(line.framing.frame(data))
            assert line.wait("/lasso/fail")[1] == code
            time.sleep(0.05)  # or the refusals would be limited
    line.send("/lasso/ping", 2)
    assert line.wait("/lasso/pong") == (2,)


def test_single_end_slip_is_answered(server: Running) -> None:
    with Line(server.port, Slip()) as line:
        line.socket.sendall(encode("/lasso/ping", [1]) + slip.END + encode("/lasso/ping", [2]) + slip.END)
        assert [line.wait("/lasso/pong"), line.wait("/lasso/pong")] == [(1,), (2,)]


@pytest.mark.parametrize(
    "start", [struct.pack(">i", 2**31 - 1), b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-x\r\n\r\n"]
)
def test_a_stream_that_is_nothing_of_ours_is_ended(server: Running, start: bytes) -> None:
    with Line(server.port, Slip()) as line:
        line.socket.sendall(start)
        assert line.is_closed()


def test_a_client_over_tcp_is_told_and_then_forgotten(server: Running, ear: Ear) -> None:
    with Line(server.port, LengthPrefixed()) as line:
        line.send("/lasso/notify", 1)
        assert [line.wait("/lasso/update"), line.wait("/lasso/update")] == [(1,), (0,)]
        ear.send("/lasso/mix", 0.25)
        assert line.wait("/lasso/mix") == (0.25,)
    end_s = time.monotonic() + ANSWER_LIMIT_S
    while server.ask(lambda: len(server.server.clients)) and time.monotonic() < end_s:
        time.sleep(0.01)
    assert server.ask(lambda: len(server.server.clients)) == 0


def test_who_stops_in_the_middle_is_ended(monkeypatch: pytest.MonkeyPatch, server: Running, ear: Ear) -> None:
    monkeypatch.setattr(connection, "PARTIAL_LIMIT_S", 0.2)
    for start in (b"\0\0\0\x20/lasso", slip.END + b"/lasso", b"GET / HT"):
        with Line(server.port, Slip()) as line:
            line.socket.sendall(start)
            assert line.is_closed()
    assert ear.ask("/lasso/ping", answer="/lasso/pong") == ()


def test_each_packet_has_its_own_time_to_end(monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    monkeypatch.setattr(connection, "PARTIAL_LIMIT_S", 0.3)
    packet = line.framing.frame(encode("/lasso/ping", [1]))
    line.socket.sendall(packet[:7])
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        line.socket.sendall(packet[7:] + packet[:7])  # one ends and another begins
        assert line.wait("/lasso/pong") == (1,)


def test_who_never_reads_is_ended(server: Running, ear: Ear) -> None:
    with Line(server.port, LengthPrefixed()) as line:
        packet = line.framing.frame(encode("/lasso/ping", ["z" * 100_000]))
        with pytest.raises(ConnectionError):  # ended, not only kept waiting
            for _ in range(1000):
                line.socket.sendall(packet)
    assert ear.ask("/lasso/ping", answer="/lasso/pong") == ()


def test_silent_connections_give_way(monkeypatch: pytest.MonkeyPatch, server: Running) -> None:
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 8)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    with Line(server.port, Slip()) as line:
        line.send("/lasso/ping", 3)
        assert line.wait("/lasso/pong") == (3,)
    for half in silent:
        half.close()


class Bouncer:
    """Takes note of all and admits nobody."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def admits(self, host: str) -> bool:
        return False

    def received(self, peer: Peer, packet: bytes) -> None:
        self.told.append(packet)

    def refused(self, peer: Peer, error: OscError) -> None:
        self.told.append(error)

    def unreachable(self, name: str) -> None:
        self.told.append(name)

    def left(self, peer: Peer) -> None:
        pass

    def web(self, connection: Connection) -> Web:
        raise AssertionError("nobody was admitted")


def test_who_is_not_admitted_is_not_heard() -> None:
    async def story() -> tuple[bytes, list[object]]:
        bouncer = Bouncer()
        port = await open_port("127.0.0.1", 0, bouncer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(encode("/lasso/ping"), ("127.0.0.1", port.number))
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(Slip().frame(encode("/lasso/ping")))
        try:
            answer = await asyncio.wait_for(reader.read(), ANSWER_LIMIT_S)
        except ConnectionResetError:
            answer = b""
        writer.close()
        await port.close()
        return answer, bouncer.told

    assert asyncio.run(story()) == (b"", [])


def test_a_fault_ends_the_connection_and_is_told() -> None:
    class Faulty(Bouncer):
        def admits(self, host: str) -> bool:
            return True

        def received(self, peer: Peer, packet: bytes) -> None:
            raise ZeroDivisionError

    async def story() -> list[type[BaseException]]:
        faults: list[type[BaseException]] = []
        handler = lambda _, context: faults.append(type(context["exception"]))  # noqa: E731
        asyncio.get_running_loop().set_exception_handler(handler)
        port = await open_port("127.0.0.1", 0, Faulty())
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(Slip().frame(encode("/lasso/ping")))
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), ANSWER_LIMIT_S) == b""
        writer.close()
        await port.close()
        return faults

    assert asyncio.run(story()) == [ZeroDivisionError]


def dated(ahead_s: float) -> bytes:
    """A bundle with a time tag so far ahead."""
    time_tag = struct.pack(">Q", int((time.time() + ahead_s + NTP_TO_UNIX_S) * 2**32))
    return raw_bundle(encode("/lasso/ping", ["dated"]), time_tag=time_tag)


@pytest.mark.parametrize("ahead_s", [-3600.0, 0.0])
def test_what_is_late_is_done_now(ear: Ear, ahead_s: float) -> None:
    ear.socket.send(dated(ahead_s))
    assert ear.wait("/lasso/pong", 1.0) == ("dated",)


@pytest.mark.parametrize("ahead_s", [61.0, 365 * 86400.0])
def test_what_is_too_far_ahead_is_refused(ear: Ear, ahead_s: float) -> None:
    ear.socket.send(dated(ahead_s))
    assert ear.wait("/lasso/fail")[1] == "too_far"


def test_what_is_a_minute_ahead_waits_and_can_be_dropped(ear: Ear) -> None:
    ear.socket.send(dated(59.0))
    assert ear.silence() == []
    assert ear.ask("/lasso/clearsched", answer="/lasso/done") == ("/lasso/clearsched", 1)


def test_an_answer_too_large_for_a_datagram_is_refused(ear: Ear) -> None:
    ear.socket.send(raw_message(b"/lasso/ping", b",s", b"\xe9" * 40_000 + bytes(4)))  # twice as long in UTF-8
    assert ear.wait("/lasso/fail")[1] == "too_large"


def pinged_s(ear: Ear) -> float:
    start_s = time.perf_counter()
    ear.ask("/lasso/ping", answer="/lasso/pong")
    return time.perf_counter() - start_s


def test_the_server_answers_at_once_after_every_hostile_packet(ear: Ear) -> None:
    hostile = [data for data, _ in REFUSED.values() if len(data) < 65000]
    hostile += [data for data, _ in ACCEPTED.values()]
    hostile += [raw_message(address, b",") for address in (b"/a b,c", b"/{a,b", b"/[z-a]")]
    hostile.append(raw_message(b"/" + b"*a" * 14 + b"!", b","))
    hostile.append(dated(365 * 86400.0))
    hostile.append(raw_message(b"//" + b"*a*" * 30 + b"//*" * 40, b","))
    hostile.append(raw_bundle(*[raw_message(b"//*", b",")] * 3))
    slowest_s = 0.0
    for data in hostile:
        ear.socket.send(data)
        slowest_s = max(slowest_s, min(pinged_s(ear), pinged_s(ear)))
    assert slowest_s < PING_LIMIT_S


def test_a_burst_loses_nothing_and_the_last_value_wins(server: Running, ear: Ear) -> None:
    for i in range(FLOOD_PACKETS):
        ear.send("/lasso/mix", i / FLOOD_PACKETS)
    ear.drain()
    acknowledged = [message for message in ear.heard if message.address == "/lasso/done"]
    assert len(acknowledged) == FLOOD_PACKETS
    assert ear.ask("/lasso/mix") == (pytest.approx((FLOOD_PACKETS - 1) / FLOOD_PACKETS),)
