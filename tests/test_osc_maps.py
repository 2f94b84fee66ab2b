"""Controllers that send their own addresses, cannot register, or tell of a DAW: mapped, told, kept."""

import re
import socket
from collections.abc import Iterator

import pytest

from soundlasso.bridge.commands.serve import parse_map, parse_notify
from soundlasso.bridge.osc.clients import MAX_UNREACHABLE, Topic
from soundlasso.bridge.osc.hearsay import MAX_KEPT, Hearsay
from soundlasso.bridge.osc.options import Notified, Options
from soundlasso.bridge.osc.packet import encode
from soundlasso.bridge.osc.server import Server
from soundlasso.dsp.errors import SoundlassoError
from tests.osc_help import Ear, Running, running
from tests.test_osc_packet import raw_bundle

MAPS = {
    "/1/fader1": "/lasso/slot/2/gain/norm",
    "/1/push1": "/lasso/slot/2/remove",
    "/lasso/daw/region/name": "/lasso/query",
    "/wet": "/lasso/mix",
    "/dry": "/lasso/mix",
    "/room": "/lasso/chain/1/param/room_size",
}


@pytest.fixture
def server() -> Iterator[Running]:
    with running(maps=MAPS) as made:
        yield made


# Maps


def test_a_fader_of_another_name_moves_a_slot(ear: Ear) -> None:
    assert ear.ask("/1/fader1", 0.5, answer="/lasso/done") == ("/lasso/slot/2/gain/norm", 0.5)
    assert ear.ask("/lasso/slot/2/gain") == (-24.0,)
    ear.send("/1/push1", 0.0)
    assert ear.ask("/lasso/slot/count") == (2,)  # the release of a button
    assert ear.ask("/1/push1", 1.0, answer="/lasso/done") == ("/lasso/slot/2/remove", 2)
    assert ear.refusal("/1/fader2", 1) == "unknown_address"


def test_a_mapped_fader_follows(server: Running, ear: Ear) -> None:
    ear.ask("/lasso/slot/2/query", "drums", answer="/lasso/done")
    with Ear(server.port) as page:
        page.ask("/lasso/notify", 1, 0, 1, answer="/lasso/done")
        assert (page.wait("/lasso/update"), page.wait("/lasso/update")) == ((1,), (0,))
        ear.ask("/lasso/slot/2/gain", 12, answer="/lasso/done")
        assert page.wait("/1/fader1") == (1.0,)
        ear.ask("/lasso/mix", 0.25, answer="/lasso/done")
        assert (page.wait("/wet"), page.wait("/dry")) == ((0.25,), (0.25,))


def test_a_refresh_moves_mapped_faders_too(server: Running, ear: Ear) -> None:
    ear.ask("/lasso/slot/2/gain", -24, answer="/lasso/done")
    with Ear(server.port) as page:
        page.ask("/lasso/notify", 1, answer="/lasso/done")
        assert page.wait("/1/fader1") == (0.5,)
    ear.send("/lasso/refresh")
    assert ear.wait("/lasso/update") == (1,)
    assert ear.wait("/lasso/update") == (0,)
    told = {message.address: message.args for message in ear.heard}
    assert told["/1/fader1"] == (0.5,)
    assert told["/wet"] == told["/dry"] == told["/lasso/mix"]
    assert told["/lasso/daw/region/name"] == ("",)


def test_a_bundle_may_hold_mapped_addresses(ear: Ear) -> None:
    at_once = raw_bundle(encode("/1/fader1", [1.0]), encode("/wet", [0.5]))
    ear.socket.send(at_once)
    ear.drain()
    assert ear.ask("/lasso/slot/2/gain") == (12.0,)
    assert ear.ask("/lasso/mix") == (0.5,)


def test_a_parameter_of_a_chain_may_come_later(ear: Ear) -> None:
    assert ear.ask("/room", 0.9, answer="/lasso/fail")[:2] == (
        "/lasso/chain/1/param/room_size",
        "unknown_address",
    )
    ear.send("/lasso/chain/add", "Reverb")
    ear.wait("/lasso/done", 60)
    assert ear.ask("/room", 0.75, answer="/lasso/done") == ("/lasso/chain/1/param/room_size", 0.75)


@pytest.mark.parametrize(
    ("theirs", "ours", "reason"),
    [
        ("fader", "/lasso/mix", "an example is"),
        ("/1/*", "/lasso/mix", "an example is"),
        ("/1/fader", "/lasso/slot/*/gain", "an example is"),
        ("/lasso/mix", "/lasso/rest", "means something already"),
        ("/1/fader", "/lasso/mixx", "did you mean '/lasso/mix'"),
        ("/1/fader", "/lasso/daw/x", "nothing comes of"),
        ("/1/fader", "/lasso/slot/65/gain", "1..64"),
    ],
)
def test_a_map_that_cannot_be_is_refused_at_the_start(theirs: str, ours: str, reason: str) -> None:
    with pytest.raises(SoundlassoError, match=re.escape(reason)):
        Server(Options(maps={theirs: ours}))


# What a DAW tells


def test_what_a_daw_tells_is_kept_passed_on_and_never_refused(server: Running, ear: Ear) -> None:
    with Ear(server.port) as page:
        page.ask("/lasso/listen", "/lasso/daw/time", answer="/lasso/done")
        assert page.wait("/lasso/daw/time") == ()  # not told yet
        ear.send("/lasso/daw/time", 12.5)
        assert page.wait("/lasso/daw/time") == (12.5,)
    assert ear.ask("/lasso/daw/time") == (12.5,)
    ear.send("/lasso/daw/track/7/fx/1/anything", "x", 1, b"blob", None)
    assert ear.ask("/lasso/daw/track/7/fx/1/anything") == ("x", 1)
    assert not [message for message in ear.silence() if message.address == "/lasso/fail"]


def test_a_daw_does_not_hear_itself(ear: Ear) -> None:
    ear.ask("/lasso/notify", 1, 0, 1, answer="/lasso/done")
    ear.silence()
    ear.send("/lasso/daw/time", 1.0)
    assert ear.silence() == []


def test_a_name_of_a_region_becomes_a_query_and_is_kept(ear: Ear) -> None:
    assert ear.ask("/lasso/daw/region/name", "solo violin", answer="/lasso/done") == (
        "/lasso/query",
        "solo violin",
    )
    assert ear.ask("/lasso/query") == ("solo violin",)
    assert ear.ask("/lasso/daw/region/name") == ("solo violin",)


def test_the_oldest_of_too_many_addresses_gives_way() -> None:
    heard = Hearsay()
    for number in range(MAX_KEPT + 1):
        heard.keep(f"/lasso/daw/{number}", [number])
    heard.keep("/lasso/daw/1", ["again"])
    heard.keep("/lasso/daw/new", [])
    assert (heard.get("/lasso/daw/1"), heard.get("/lasso/daw/2")) == (["again"], [])  # 2 was the oldest
    assert (heard.get("/lasso/daw/0"), heard.get(f"/lasso/daw/{MAX_KEPT}")) == ([], [MAX_KEPT])


def test_long_texts_of_a_daw_are_cut() -> None:
    heard = Hearsay()
    kept = heard.keep("/lasso/daw/x", ["x" * 100_000, *range(100)])
    assert kept == heard.get("/lasso/daw/x") == ["x" * 512, *range(15)]


# Clients from the start


def test_a_client_of_the_options_is_told_of_all_from_the_start() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        port = int(place.getsockname()[1])
        with running(notify=(Notified("127.0.0.1", port),)) as made:
            with Ear(made.port) as ear:
                deaf = Ear(made.port)
                deaf.socket.close()
                deaf.socket = place  # listens where it was told to be told
                deaf.wait("/lasso/startup")
                assert deaf.wait("/lasso/update") == (1,)
                assert deaf.wait("/lasso/mix") == (1.0,)
                assert deaf.wait("/lasso/update") == (0,)
                ear.ask("/lasso/mix", 0.5, answer="/lasso/done")
                assert deaf.wait("/lasso/mix") == (0.5,)


def test_a_client_of_the_options_hears_the_answers_to_passing_senders_and_no_more_than_it_wants() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        port = int(place.getsockname()[1])
        with running(notify=(Notified("127.0.0.1", port, Topic.JOBS),)) as made, Ear(made.port) as passing:
            assert passing.ask("/lasso/ping", 7, answer="/lasso/pong") == (7,)
            told = Ear(made.port)
            told.socket.close()
            told.socket = place
            assert [(m.address, m.args) for m in told.silence()] == [
                ("/lasso/startup", ()),
                ("/lasso/pong", (7,)),
            ]


def test_a_client_of_the_options_is_kept_while_it_is_away() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        port = int(place.getsockname()[1])
    with running(notify=(Notified("127.0.0.1", port),)) as made, Ear(made.port) as ear:
        for number in range(2 * MAX_UNREACHABLE):
            ear.ask("/lasso/mix", number / 10, answer="/lasso/done")
            ear.silence(0.06)  # changes are told twenty times a second
        ear.send("/lasso/clients")
        assert ear.wait("/lasso/clients/item") == ("127.0.0.1", port, 3)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("9000", Notified("127.0.0.1", 9000)),
        ("192.168.1.20:9000/9", Notified("192.168.1.20", 9000, Topic(9))),
        ("[::1]:9000", Notified("::1", 9000)),
    ],
)
def test_a_client_is_named_by_port_host_and_mask(text: str, wanted: Notified) -> None:
    assert parse_notify(text) == wanted


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "9000/0", "9000/32", "a.b:9000", "9000/x"])
def test_a_client_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SoundlassoError, match="cannot notify"):
        parse_notify(text)


def test_a_map_is_read_at_its_first_equals_sign() -> None:
    assert parse_map("/a=/lasso/mix") == ("/a", "/lasso/mix")
    for text in ("/a", "=/lasso/mix", "/a="):
        with pytest.raises(SoundlassoError, match="cannot map"):
            parse_map(text)
