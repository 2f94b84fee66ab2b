"""Every command is answered, over a real loopback socket, by the server as it runs."""

import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import build_msg

from soundlasso.bridge.osc import bundles
from soundlasso.bridge.osc.call import MAX_KEPT_BYTES, Request
from soundlasso.bridge.osc.packet import NTP_TO_UNIX_S, encode
from soundlasso.bridge.osc.table import ROWS
from tests.osc_help import ANSWER_LIMIT_S, Ear, Running, running

FLOAT32_STEP = 1e-6  # relative: what a value loses on its way through an OSC float
DUE_TOLERANCE_S = 1.0  # a busy machine may be late; it must never be early


def bundle(*packets: bytes, due_s: float | None = None) -> bytes:
    tag = 1 if due_s is None else int((due_s + NTP_TO_UNIX_S) * 2**32)
    elements = b"".join(struct.pack(">i", len(packet)) + packet for packet in packets)
    return b"#bundle\0" + struct.pack(">Q", tag) + elements


# Values


def test_a_parameter_is_set_acknowledged_and_read(ear: Ear) -> None:
    assert ear.ask("/lasso/slot/3/gain", -6.5, answer="/lasso/done") == ("/lasso/slot/3/gain", -6.5)
    assert ear.ask("/lasso/slot/3/gain") == (-6.5,)
    (norm,) = ear.ask("/lasso/slot/3/gain/norm")
    assert norm == pytest.approx((60 - 6.5) / 72, rel=FLOAT32_STEP)
    assert ear.ask("/lasso/slot/3/gain/str") == ("-6.50 dB",)


def test_the_fader_view_sets_the_same_value(ear: Ear) -> None:
    ear.ask("/lasso/slot/3/gain/norm", 0.5, answer="/lasso/done")
    assert ear.ask("/lasso/slot/3/gain") == (-24.0,)


def test_the_short_address_is_slot_one(ear: Ear) -> None:
    assert ear.ask("/lasso/query", "solo", "violin", answer="/lasso/done") == ("/lasso/query", "solo violin")
    assert ear.ask("/lasso/slot/1/query") == ("solo violin",)


def test_the_residual_is_another_name_of_the_rest(server: Running, ear: Ear) -> None:
    with Ear(server.port) as other:
        other.ask("/lasso/listen", "/lasso/rest", answer="/lasso/done")
        assert other.wait("/lasso/rest") == (1,)  # as it is
        assert ear.ask("/lasso/residual", 0, answer="/lasso/done") == ("/lasso/residual", 0)
        assert other.wait("/lasso/rest") == (0,)
        other.ask("/lasso/ignore", "/lasso/rest", answer="/lasso/done")
    assert ear.ask("/lasso/rest", 1, answer="/lasso/done") == ("/lasso/rest", 1)
    assert ear.ask("/lasso/residual", answer="/lasso/residual") == (1,)


def test_a_value_beyond_the_range_is_moved_and_the_answer_shows_it(ear: Ear) -> None:
    assert ear.ask("/lasso/mix", 7, answer="/lasso/done") == ("/lasso/mix", 1.0)


def test_a_pattern_sets_and_reads_many(ear: Ear) -> None:
    ear.ask("/lasso/slot/4/mute", 1, answer="/lasso/done")
    (count,) = ear.ask("/lasso/slot/count")
    ear.send("/lasso/slot/*/solo", 1)
    assert sorted(ear.wait("/lasso/done") for _ in range(count))[0] == ("/lasso/slot/1/solo", 1)
    ear.send("/lasso/slot/*/solo", 0)
    ear.drain()
    assert len(ear.heard) >= 2 * count


@pytest.mark.parametrize("message", [("//*",), ("//mix",), ("/lasso/do", 1, "//*"), ("/lasso/at", 1, "//*")])
def test_one_packet_of_patterns_holds_nobody_up(message: tuple[Any, ...]) -> None:
    with running() as made, Ear(made.port) as ear, Ear(made.port) as other:
        for slot in range(1, 65):
            ear.ask(f"/lasso/slot/{slot}/mute", 1, answer="/lasso/done")
        address, *args = message
        one = encode(address, args)
        packet = bundle(*(one.replace(b"\0\0\0\1", bytes([0, 0, 1, i])) for i in range(250)))
        start_s = time.process_time()  # the server's too; other programs do not count
        ear.socket.send(packet)
        other.ask("/lasso/ping", answer="/lasso/pong")
        assert time.process_time() - start_s < 1.0  # it took seconds
        refused = [m.args[1] for m in ear.silence(0.3) if m.address == "/lasso/fail"]
        assert {"rate_limited", "bad_args"} & set(refused)


def test_a_bundle_of_patterns_is_paid_for_once_and_applied_whole() -> None:
    with running() as made, Ear(made.port) as ear:
        for slot in range(1, 65):
            ear.ask(f"/lasso/slot/{slot}/mute", 1, answer="/lasso/done")
        ear.socket.send(bundle(*(encode("/lasso/slot/*/gain", [-step]) for step in range(30))))
        ear.drain()
        assert not [m for m in ear.heard if m.address == "/lasso/fail"]
        assert ear.ask("/lasso/slot/64/gain") == (-29.0,)


def test_a_fader_may_send_a_pattern_all_the_time(ear: Ear) -> None:
    for slot in range(1, 9):
        ear.ask(f"/lasso/slot/{slot}/mute", 1, answer="/lasso/done")
    for step in range(60):
        ear.send("/lasso/slot/*/gain", -step)
    ear.drain()
    assert not [m for m in ear.heard if m.address == "/lasso/fail"]


def test_a_slot_is_forgotten(ear: Ear) -> None:
    ear.ask("/lasso/slot/9/query", "a dog", answer="/lasso/done")
    assert ear.ask("/lasso/slot/9/remove", answer="/lasso/done") == ("/lasso/slot/9/remove", 9)
    assert ear.refusal("/lasso/slot/9/query") == "not_found"


# Questions


def test_ping_echoes_its_arguments(ear: Ear) -> None:
    assert ear.ask("/lasso/ping", 7, "héllo 日本", 0.5, b"\1\2", answer="/lasso/pong") == (
        7,
        "héllo 日本",
        0.5,
        b"\1\2",
    )
    long_text = "x" * 20000
    assert ear.ask("/lasso/ping", long_text, answer="/lasso/pong") == (long_text,)


def test_version_status_and_sync_are_answered(ear: Ear) -> None:
    answer = ear.ask("/lasso/version", answer="/lasso/version/reply")
    name, major, minor, patch, model, device, protocol = answer
    assert (name, model, device, protocol) == ("soundlasso", "lariat", "cpu", 1)
    assert min(major, minor, patch) >= 0
    state, queued, running_jobs, *_ = ear.ask("/lasso/status", answer="/lasso/status/reply")
    assert (state, queued, running_jobs) == ("loading", 0, 0)
    assert ear.ask("/lasso/status", answer="/lasso/status/reply")[-2:] == (0.0, 0.0), "nothing plays"
    assert ear.ask("/lasso/sync", 77, answer="/lasso/synced") == (77,)


def test_list_tells_every_row(ear: Ear) -> None:
    (count,) = ear.ask("/lasso/list", answer="/lasso/list/end")
    items = [message.args for message in ear.heard if message.address == "/lasso/list/item"]
    assert count == len(items) == len(ROWS)
    assert ("/lasso/mix", "f", 3, "0..1", "", "0 the sound that goes in, 1 the slots") in items
    assert ear.ask("/lasso/list", "/lasso/slot/{", answer="/lasso/list/end")[0] < count
    assert ear.refusal("/lasso/list", "/nothing") == "not_found"


# Refusals


@pytest.mark.parametrize(
    ("address", "args", "code"),
    [
        ("/lasso/nosuch", (1,), "unknown_address"),
        ("/lasso/mix", ("loud",), "bad_args"),
        ("/lasso/mix", (float("nan"),), "out_of_range"),
        ("/lasso/slot/0/gain", (1.0,), "out_of_range"),
        ("/lasso/query", ("x" * 20000,), "too_large"),
        ("/lasso/query", ("x" * 301,), "too_large"),
        ("/lasso/slot/2/query", ("snare\ndrum",), "bad_args"),
        ("/lasso/slot/2/query", ("\u200b",), "bad_args"),
        ("/lasso/avoid", ("drums, snare\ndrum",), "bad_args"),
        ("/lasso/avoid", ("drums, " + "x" * 301,), "too_large"),
        ("/lasso/at", (1.0, "/lasso/query", "x" * 301), "too_large"),
        ("/lasso/slot/1/mode", ("both",), "out_of_range"),
        ("/lasso/quit", (), "forbidden"),
        ("/lasso/login", ("x",), "forbidden"),
        ("/lasso/input", ("../x.wav",), "bad_path"),
        ("/lasso/output", ("/etc",), "bad_path"),
        ("/lasso/render", (), "no_input"),
        ("/lasso/render", ("nothing.wav", "x"), "bad_path"),
        ("/lasso/job/state", ("none",), "not_found"),
        ("/lasso/job/cancel", ("none",), "not_found"),
        ("/lasso/listen", ("/lasso/*",), "bad_args"),
        ("/lasso/listen", ("/lasso/ping",), "forbidden"),
        ("/lasso/notify", (1, 70000), "out_of_range"),
        ("/lasso/[", (), "malformed"),
    ],
)
def test_what_is_wrong_is_refused_with_a_code(
    ear: Ear, address: str, args: tuple[object, ...], code: str
) -> None:
    assert ear.refusal(address, *args) == code


def test_refusals_are_limited(ear: Ear) -> None:
    for _ in range(100):
        ear.send("/lasso/nosuch")
    ear.drain()
    assert sum(message.address == "/lasso/fail" for message in ear.heard) < 40


@pytest.mark.parametrize(
    "address", ["/lasso/done", "/lasso/fail", "/lasso/pong", "/lasso/job/progress", "#reply"]
)
def test_answers_are_not_answered(ear: Ear, address: str) -> None:
    ear.socket.send(encode(address, ["x", "y", "z"]))
    ear.drain()
    assert [message.address for message in ear.heard] == ["/lasso/synced"]


# Bundles


def test_a_bundle_is_applied_in_order(ear: Ear) -> None:
    ear.socket.send(
        bundle(encode("/lasso/mix", [0.1]), bundle(encode("/lasso/mix", [0.2])), encode("/lasso/mix"))
    )
    assert ear.wait("/lasso/mix")[0] == pytest.approx(0.2)


def test_python_osc_bundles_are_read(ear: Ear) -> None:
    builder = OscBundleBuilder(IMMEDIATELY)
    builder.add_content(build_msg("/lasso/mix", [0.75]))
    builder.add_content(build_msg("/lasso/mix"))
    ear.socket.send(builder.build().dgram)
    assert ear.wait("/lasso/mix") == (0.75,)


def test_one_wrong_message_refuses_the_bundle(ear: Ear) -> None:
    ear.ask("/lasso/mix", 0.5, answer="/lasso/done")
    ear.socket.send(bundle(encode("/lasso/mix", [0.9]), encode("/lasso/nosuch")))
    _, code, message = ear.wait("/lasso/fail")
    assert code == "unknown_address"
    assert "/lasso/nosuch" in message
    assert ear.ask("/lasso/mix") == (0.5,)


def test_a_fault_of_the_server_stops_neither_a_bundle_nor_a_connection(
    server: Running, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.server, "status", lambda: 1 / 0)
    ear.ask("/lasso/mix", 0.5, answer="/lasso/done")
    ear.socket.send(bundle(encode("/lasso/status"), encode("/lasso/mix", [0.25])))
    assert ear.wait("/lasso/fail")[:2] == ("/lasso/status", "internal")
    assert ear.wait("/lasso/done") == ("/lasso/mix", 0.25)
    assert isinstance(server.faults.pop()["exception"], ZeroDivisionError)


def test_a_number_too_large_for_osc_refuses_the_bundle(ear: Ear) -> None:
    ear.ask("/lasso/mix", 0.5, answer="/lasso/done")
    ear.socket.send(bundle(encode("/lasso/sync", [1e30]), encode("/lasso/mix", [0.25])))
    assert ear.wait("/lasso/fail")[1] == "out_of_range"
    assert ear.ask("/lasso/mix") == (0.5,)


def test_a_bundle_waits_for_its_time_and_nobody_else_does(ear: Ear) -> None:
    ear.ask("/lasso/mix", 0.5, answer="/lasso/done")
    sent_s = time.time()
    ear.socket.send(bundle(encode("/lasso/mix", [0.25]), due_s=sent_s + 0.4))
    ear.ask("/lasso/ping", answer="/lasso/pong")
    assert ear.wait("/lasso/done") == ("/lasso/mix", 0.25)
    assert 0.39 <= time.time() - sent_s <= 0.4 + DUE_TOLERANCE_S


def test_a_late_bundle_is_applied_now_and_a_far_one_refused(ear: Ear) -> None:
    ear.socket.send(bundle(encode("/lasso/mix", [0.125]), due_s=time.time() - 100))
    assert ear.wait("/lasso/done") == ("/lasso/mix", 0.125)
    ear.socket.send(bundle(encode("/lasso/mix", [0.9]), due_s=time.time() + 31_536_000))
    assert ear.wait("/lasso/fail")[1] == "too_far"


def test_waiting_bundles_can_be_dropped(ear: Ear) -> None:
    for _ in range(3):
        ear.socket.send(bundle(encode("/lasso/mix", [0.9]), due_s=time.time() + 30))
    assert ear.ask("/lasso/clearsched", answer="/lasso/done") == ("/lasso/clearsched", 3)


def test_waiting_bundles_take_little_memory(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_WAITING_BYTES", 300)
    packet = bundle(encode("/lasso/avoid", ["x" * 150]), due_s=time.time() + 30)
    ear.socket.send(packet)
    ear.socket.send(packet)
    assert ear.wait("/lasso/fail")[1] == "queue_full"
    assert ear.ask("/lasso/clearsched", answer="/lasso/done") == ("/lasso/clearsched", 1)


# Ids


def test_a_command_with_an_id_runs_once(ear: Ear) -> None:
    ear.ask("/lasso/slot/5/gain", 0.0, answer="/lasso/done")
    assert ear.ask("/lasso/do", 9, "/lasso/slot/5/gain", -3.0, answer="/lasso/done") == (
        "/lasso/slot/5/gain",
        -3.0,
        9,
    )
    ear.ask("/lasso/slot/5/gain", -12.0, answer="/lasso/done")
    assert ear.ask("/lasso/do", 9, "/lasso/slot/5/gain", -3.0, answer="/lasso/done") == (
        "/lasso/slot/5/gain",
        -3.0,
        9,
    )
    assert ear.ask("/lasso/slot/5/gain") == (-12.0,)
    assert ear.ask("/lasso/do", 10, "/lasso/nosuch", answer="/lasso/fail")[-1] == 10


def test_a_list_with_an_id_is_told_again(server: Running) -> None:
    with Ear(server.port) as ear:
        for _ in range(2):
            ear.send("/lasso/do", 13, "/lasso/list", "/lasso/slot/count")
            assert ear.wait("/lasso/list/end") == (1,)
        first, _, again, _ = ear.heard
        assert first == again


def test_of_too_many_answers_the_newest_are_kept() -> None:
    request = Request(Stranger(), lambda peer, packet: None, number=1)
    for i in range(100):
        request.keep(i.to_bytes() * 1000)
    assert sum(map(len, request.answers)) <= MAX_KEPT_BYTES
    assert request.answers[-1] == bytes([99]) * 1000


def test_a_command_with_an_id_is_not_another_command_with_an_id(ear: Ear) -> None:
    assert ear.refusal("/lasso/do", 1e30, "/lasso/ping") == "out_of_range"
    assert ear.ask("/lasso/do", 11, "/lasso/do", 12, "/lasso/ping", answer="/lasso/fail")[1] == "bad_args"


# Clients


def test_one_hears_what_another_does_exactly_once(server: Running, ear: Ear) -> None:
    with Ear(server.port) as other:
        number, port, mask = other.ask("/lasso/notify", 1, answer="/lasso/done")[1:]
        assert (port, mask) == (other.port, 3)
        assert other.wait("/lasso/update") == (1,)
        assert other.wait("/lasso/update") == (0,)
        ear.send("/lasso/slot/6/gain", -9.0)
        assert other.wait("/lasso/slot/6/gain") == (-9.0,)
        ear.ask("/lasso/clients", answer="/lasso/clients/end")
        assert ("127.0.0.1", other.port, 3) in [
            m.args for m in ear.heard if m.address == "/lasso/clients/item"
        ]
        other.send("/lasso/slot/6/gain", -8.0)  # its own change is not told to itself
        assert other.wait("/lasso/done") == ("/lasso/slot/6/gain", -8.0)
        assert [m.args for m in other.silence() if m.address == "/lasso/slot/6/gain"] == []
        assert other.ask("/lasso/notify", 0, answer="/lasso/done") == ("/lasso/notify", number, other.port, 0)
        ear.ask("/lasso/slot/6/gain", -7.0, answer="/lasso/done")
        assert other.silence() == []


def test_one_address_can_be_listened_to(server: Running, ear: Ear) -> None:
    ear.ask("/lasso/slot/7/gain", -6.0, answer="/lasso/done")
    with Ear(server.port) as other:
        other.ask("/lasso/listen", "/lasso/slot/7/gain/str", answer="/lasso/done")
        assert other.wait("/lasso/slot/7/gain/str") == ("-6.00 dB",)  # its value comes first
        ear.ask("/lasso/slot/7/gain/norm", 0.5, answer="/lasso/done")
        assert other.wait("/lasso/slot/7/gain/str") == ("-24.00 dB",)
        other.ask("/lasso/ignore", "/lasso/slot/7/gain/str", answer="/lasso/done")
        ear.ask("/lasso/slot/7/gain", 0.0, answer="/lasso/done")
        assert other.silence() == []


def test_the_answers_to_a_passing_sender_are_heard_at_its_hosts_one_client(server: Running) -> None:
    with Ear(server.port) as dump, Ear(server.port) as once:
        once.ask("/lasso/notify", 1, dump.port, 0, answer="/lasso/done")
        assert dump.wait("/lasso/done")[2:] == (dump.port, 0)
        assert once.ask("/lasso/ping", 5, answer="/lasso/pong") == (5,)
        assert dump.wait("/lasso/pong") == (5,)
        once.ask("/lasso/notify", 0, dump.port, answer="/lasso/done")


def test_many_changes_are_told_at_twenty_a_second_and_the_last_one_wins(server: Running, ear: Ear) -> None:
    with Ear(server.port) as other:
        other.ask("/lasso/notify", 1, answer="/lasso/done")
        other.wait("/lasso/update")
        other.wait("/lasso/update")
        start_s = time.monotonic()
        for i in range(500):
            ear.send("/lasso/mix", i / 500)
            if i % 100 == 0:
                ear.drain()
        ear.drain()
        took_s = time.monotonic() - start_s
        heard = [message.args[0] for message in other.silence(0.3) if message.address == "/lasso/mix"]
        assert heard[-1] == pytest.approx(499 / 500)
        assert len(heard) <= took_s / 0.05 + 3
        other.ask("/lasso/notify", 0, answer="/lasso/done")


def test_a_client_that_is_gone_is_forgotten_and_others_lose_nothing(server: Running, ear: Ear) -> None:
    with Ear(server.port) as gone:
        ear.ask("/lasso/notify", 1, gone.port, answer="/lasso/done")
        gone.wait("/lasso/update")
        gone.wait("/lasso/update")
    end_s = time.monotonic() + ANSWER_LIMIT_S
    changes = 0
    while server.ask(lambda: len(server.server.clients)) and time.monotonic() < end_s:
        changes = changes % 8 + 1
        assert ear.ask("/lasso/mix", changes / 8, answer="/lasso/done") == ("/lasso/mix", changes / 8)
    assert server.ask(lambda: len(server.server.clients)) == 0


def test_a_lease_ends(server: Running, ear: Ear) -> None:
    ear.ask("/lasso/notify", 1, 0, 4, 1.2, answer="/lasso/done")
    assert ear.wait("/lasso/heartbeat")[0] in (0.0, 1.0)
    end_s = time.monotonic() + 5
    while server.ask(lambda: len(server.server.clients)) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert server.ask(lambda: len(server.server.clients)) == 0


def test_the_end_is_told() -> None:
    with running(allow_quit=True) as server, Ear(server.port) as ear:
        ear.ask("/lasso/notify", 1, 0, 0, answer="/lasso/done")
        ear.ask("/lasso/quit", answer="/lasso/done")
        ear.wait("/lasso/shutdown")


def test_only_utf8_is_expected_but_latin1_is_read(server: Running, ear: Ear) -> None:
    ear.socket.send(b"/lasso/query\0\0\0\0,s\0\0caf\xe9\0\0\0\0")
    assert ear.wait("/lasso/done") == ("/lasso/query", "café")
    assert server.ask(lambda: server.server.interpreter.counters.latin1) >= 1


# Other hosts


def test_other_hosts_are_heard_only_where_allowed(server: Running) -> None:
    with running(allow=("192.0.2.0/24", "2001:db8::/32")) as open_server:
        admits = open_server.server.admits
        assert admits("127.0.0.1") and admits("192.0.2.7") and admits("2001:db8::1") and admits("::1")
        assert admits("::ffff:127.0.0.1") and admits("::ffff:192.0.2.7")  # as a socket of --host :: has them
        assert not admits("::ffff:192.0.3.7")
        assert not admits("198.51.100.1")
    assert not server.server.admits("192.0.2.7")


class Stranger:
    """A peer on another machine, whose address may be forged."""

    host, port, is_verified = "192.0.2.7", 9000, False
    name = "udp 192.0.2.7 9000"

    def __init__(self) -> None:
        self.bytes_heard = 0
        self.packets: list[bytes] = []

    def send(self, packet: bytes) -> None:
        self.bytes_heard += len(packet)
        self.packets.append(packet)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Running]:
    with running(allow=("192.0.2.0/24",), token="a long secret") as made:
        yield made


def say(server: Running, stranger: Stranger, address: str, *args: object) -> bytes:
    """Let a stranger say something; return the last answer."""
    stranger.packets.clear()
    server.ask(lambda: server.server.received(stranger, encode(address, args)))
    return b"".join(stranger.packets[-1:])


def test_a_stranger_reads_and_does_not_write_until_it_knows_the_token(guarded: Running) -> None:
    stranger = Stranger()
    padding = "x" * 100  # or the answers would be larger than four times the question
    assert b"/lasso/pong" in say(guarded, stranger, "/lasso/ping", padding)
    assert b"forbidden" in say(guarded, stranger, "/lasso/avoid", padding)
    assert b"forbidden" in say(guarded, stranger, "/lasso/login", padding)
    assert b"/lasso/done" in say(guarded, stranger, "/lasso/login", "a long secret")
    assert b"/lasso/done" in say(guarded, stranger, "/lasso/avoid", padding)


@pytest.mark.parametrize("address", ["/lasso/list", "/lasso/notify", "/lasso/refresh", "/lasso/nosuch", "/x"])
def test_a_forged_source_gets_at_most_four_times_what_was_sent(guarded: Running, address: str) -> None:
    stranger = Stranger()
    stranger.name = f"udp 192.0.2.7 {hash(address) % 60000}"
    say(guarded, stranger, address)
    assert stranger.bytes_heard <= 4 * len(encode(address))
    assert guarded.ask(lambda: len(guarded.server.clients)) == 0


def test_commands_with_ids_get_a_forged_source_no_more(guarded: Running) -> None:
    stranger = Stranger()
    stranger.name = "udp 192.0.2.7 61000"
    padding = "x" * 400
    packet = bundle(*(encode("/lasso/do", [i, "/lasso/ping", padding]) for i in range(9)))
    guarded.ask(lambda: guarded.server.received(stranger, packet))
    assert 0 < stranger.bytes_heard <= 4 * len(packet)
    packet = bundle(*(encode("/lasso/do", [i, "/lasso/list"]) for i in range(10, 19)))
    stranger.bytes_heard = 0
    guarded.ask(lambda: guarded.server.received(stranger, packet))
    assert stranger.bytes_heard <= 4 * len(packet)


def test_a_short_repeat_gets_a_forged_source_no_long_answer(guarded: Running) -> None:
    stranger = Stranger()
    stranger.name = "udp 192.0.2.7 61001"
    assert b"/lasso/pong" in say(guarded, stranger, "/lasso/do", 7, "/lasso/ping", "x" * 8000)
    assert say(guarded, stranger, "/lasso/do", 7, "/lasso/ping") == b""


def test_answers_kept_for_repeats_take_little_memory(server: Running, ear: Ear) -> None:
    for number in (100, 101):
        ear.ask("/lasso/do", number, "/lasso/ping", "x" * 12000, answer="/lasso/pong")
        ear.ask("/lasso/do", number, "/lasso/ping", answer="/lasso/pong")  # the same answer again
    ear.ask("/lasso/do", 102, "/lasso/ping", "x" * 20000, answer="/lasso/pong")
    kept = server.ask(lambda: server.server.interpreter._answers._kept[f"udp 127.0.0.1 {ear.port}", 102])
    assert kept[1] == []


def test_a_port_in_use_is_named_with_the_way_out(server: Running) -> None:
    from soundlasso.bridge.osc.transport import PortError, _bound_sockets

    with pytest.raises(PortError, match=rf"port {server.port} .*in use.*--port 0"):
        _bound_sockets("127.0.0.1", server.port)
    with pytest.raises(PortError, match="no host"):
        _bound_sockets("nosuch.invalid", 0)


def test_udp_and_tcp_have_the_same_number(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        pass
