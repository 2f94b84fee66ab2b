"""OSCQuery over HTTP and WebSocket, on the OSC port, with clients of other makers."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from soundlasso.bridge.osc.connection import Connection
from soundlasso.bridge.osc.packet import MAX_PACKET_BYTES, Message, decode, encode
from soundlasso.bridge.osc.row import Access
from soundlasso.bridge.osc.table import ROWS
from soundlasso.bridge.osc.web import WebTalk
from tests.osc_help import ANSWER_LIMIT_S, Ear, Running, running


@pytest.fixture
def web(server: Running) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{server.port}/", open_timeout=ANSWER_LIMIT_S, max_size=None) as made:
        yield made


def get(server: Running, target: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{target}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as answer:
            body = answer.read()
            return answer.status, json.loads(body) if body else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def heard(web: ClientConnection) -> Message:
    """Return the next OSC message."""
    packet = web.recv(timeout=ANSWER_LIMIT_S)
    assert isinstance(packet, bytes)
    message = decode(packet)
    assert isinstance(message, Message)
    return message


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("CONTENTS", {}).values():
        yield from nodes(child)


# HTTP


def test_the_tree_has_every_row_that_a_client_can_use(server: Running) -> None:
    status, root = get(server, "/")
    assert status == 200
    found = {node["FULL_PATH"]: node for node in nodes(root)}
    for row in ROWS:
        address = row.address.replace("{slot}", "1")
        if row.access is Access.SENT or "{rest}" in row.address:
            continue
        node = found[address]
        assert node["ACCESS"] == row.access
        assert node["DESCRIPTION"] == row.help
        assert ("VALUE" in node) == bool(row.key)


def test_a_node_says_all_about_a_parameter(server: Running, ear: Ear) -> None:
    ear.ask("/lasso/slot/1/gain", -3, answer="/lasso/done")
    _, node = get(server, "/lasso/slot/1/gain")
    assert node["TYPE"] == "f"
    assert node["VALUE"] == [-3.0]
    assert node["RANGE"] == [{"MIN": -60, "MAX": 12}]
    assert node["UNIT"] == ["dB"]
    assert node["CLIPMODE"] == ["both"]
    assert [overload["TYPE"] for overload in node["OVERLOADS"]] == ["i"]
    mute = get(server, "/lasso/slot/1/mute")[1]
    assert [overload["TYPE"] for overload in mute["OVERLOADS"]] == ["f", "T", "F"]
    assert get(server, "/lasso/slot/1/mode")[1]["RANGE"] == [{"VALS": ["keep", "remove"]}]
    assert get(server, "/lasso/render")[1]["CRITICAL"] is True


@pytest.mark.parametrize(
    ("target", "status", "answer"),
    [
        ("/lasso/mix?TYPE", 200, {"TYPE": "f"}),
        ("/lasso/mix?ACCESS", 200, {"ACCESS": 3}),
        ("/lasso/ping?VALUE", 204, None),
        ("/lasso/mix?NOSUCH", 400, None),
        ("/lasso/nosuch", 404, None),
        ("/lasso/mix/deeper/still", 404, None),
        ("/%6casso/mix?TYPE", 200, {"TYPE": "f"}),
    ],
)
def test_one_attribute_can_be_asked_for(server: Running, target: str, status: int, answer: Any) -> None:
    assert get(server, target) == (status, answer)


def test_host_info_names_the_port(server: Running) -> None:
    _, info = get(server, "/?HOST_INFO")
    assert (info["OSC_IP"], info["OSC_PORT"], info["WS_PORT"]) == ("127.0.0.1", server.port, server.port)
    assert info["OSC_TRANSPORT"] == "UDP"
    assert info["EXTENSIONS"]["LISTEN"] is True


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_that_is_not_ours_is_refused(server: Running, host: str) -> None:
    assert get(server, "/", Host=host)[0] == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://192.0.2.1", "http://[::1"])
def test_a_page_of_another_machine_is_refused(server: Running, origin: str) -> None:
    assert get(server, "/", Origin=origin)[0] == 403
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{server.port}/", origin=origin)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exposed() -> Iterator[Running]:
    with running(host="0.0.0.0", allow=("192.168.1.0/24",), token="a long secret") as made:
        yield made


def status_at(server: Running, local_host: str, **headers: str) -> int:
    """Ask for a node at one of the server's addresses; return the HTTP status."""

    def answer() -> bytes:
        connection = Connection(server.server, [])
        connection.local_host = local_host
        talk = WebTalk(server.server, connection)
        lines = ["GET /lasso/mix HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        assert list(talk.feed("\r\n".join(lines).encode())) == []
        return b"".join(talk.unsent())

    return int(server.ask(answer).split()[1])


def test_a_page_of_an_admitted_machine_is_refused(exposed: Running) -> None:
    page = "http://192.168.1.66"
    assert status_at(exposed, "127.0.0.1", Host="localhost:17770", Origin=page) == 403
    assert status_at(exposed, "192.168.1.5", Host="192.168.1.5:17770", Origin=page) == 403


def test_an_admitted_machine_is_answered_by_number(exposed: Running) -> None:
    assert status_at(exposed, "192.168.1.5", Host="192.168.1.5:17770") == 200
    assert status_at(exposed, "192.168.1.5", Host="192.168.1.5:17770", Origin="http://192.168.1.5") == 200
    assert status_at(exposed, "fd00::2", Host="[fd00::2]:17770", Origin="http://[fd00::2]:80") == 200
    assert status_at(exposed, "172.17.0.2", Host="192.168.1.5:17770") == 200  # from outside a container
    assert status_at(exposed, "192.168.1.5", Host="evil.example:17770") == 403


def test_host_info_of_all_interfaces_names_the_one_that_was_reached(exposed: Running) -> None:
    _, info = get(exposed, "/?HOST_INFO")
    assert (info["OSC_IP"], info["WS_IP"]) == ("127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1"])
def test_a_page_of_this_machine_is_answered(server: Running, origin: str) -> None:
    assert get(server, "/", Origin=origin)[0] == 200


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_reads_it(server: Running) -> None:
    def curl(*args: str) -> str:
        command = ["curl", "--silent", "--max-time", "5", *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    url = f"http://127.0.0.1:{server.port}"
    assert json.loads(curl(f"{url}/?HOST_INFO"))["NAME"] == "soundlasso"
    status_only = ["--output", "/dev/null", "--write-out", "%{http_code}"]
    assert curl(*status_only, "-H", "Host: evil.example", url) == "403"
    assert curl(*status_only, "-X", "POST", url) == "405"
    assert curl(*status_only, "-I", url) == "405"


# WebSocket


def test_osc_goes_both_ways_in_binary_frames(web: ClientConnection) -> None:
    web.send(encode("/lasso/ping", [1, "x"]))
    assert heard(web) == Message("/lasso/pong", (1, "x"))
    web.send([b"", *(bytes([byte]) for byte in encode("/lasso/ping", [2]))])  # in fragments
    assert heard(web) == Message("/lasso/pong", (2,))


def test_listen_tells_the_value_first_and_changes_until_ignore(web: ClientConnection, ear: Ear) -> None:
    ear.ask("/lasso/mix", 0.5, answer="/lasso/done")
    web.send(json.dumps({"COMMAND": "LISTEN", "DATA": "/lasso/mix"}))
    assert heard(web) == Message("/lasso/done", ("/lasso/listen", "/lasso/mix"))
    assert heard(web) == Message("/lasso/mix", (0.5,))
    ear.ask("/lasso/mix", 0.25, answer="/lasso/done")
    assert heard(web) == Message("/lasso/mix", (0.25,))
    web.send(json.dumps({"COMMAND": "IGNORE", "DATA": "/lasso/mix"}))
    assert heard(web) == Message("/lasso/done", ("/lasso/ignore", "/lasso/mix"))
    ear.ask("/lasso/mix", 0.75, answer="/lasso/done")
    web.send(encode("/lasso/ping"))
    assert heard(web) == Message("/lasso/pong")


def test_slots_that_come_and_go_are_told(web: ClientConnection, ear: Ear) -> None:
    web.send(encode("/lasso/ping"))
    heard(web)
    ear.ask("/lasso/slot/31/query", "a dog", answer="/lasso/done")
    added = web.recv(timeout=ANSWER_LIMIT_S)
    ear.ask("/lasso/slot/31/remove", answer="/lasso/done")
    removed = web.recv(timeout=ANSWER_LIMIT_S)
    assert [json.loads(added), json.loads(removed)] == [
        {"COMMAND": "PATH_ADDED", "DATA": "/lasso/slot/31"},
        {"COMMAND": "PATH_REMOVED", "DATA": "/lasso/slot/31"},
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", "malformed"),
        ("[]", "malformed"),
        ("[" * 100_000, "malformed"),
        ('{"COMMAND": "LISTEN", "DATA": "/lasso/daw/\\u0000abc"}', "bad_args"),
        ('{"COMMAND": "LISTEN", "DATA": "/lasso/daw/\\ud800"}', "bad_args"),
        ('{"COMMAND": "LISTEN"}', "malformed"),
        ('{"COMMAND": "RUN", "DATA": "x"}', "bad_args"),
        ('{"COMMAND": "LISTEN", "DATA": 3}', "bad_args"),
        ('{"COMMAND": "LISTEN", "DATA": "/lasso/nosuch"}', "unknown_address"),
    ],
)
def test_a_wrong_command_is_answered(web: ClientConnection, text: str, code: str) -> None:
    web.send(text)
    refusal = heard(web)
    assert (refusal.address, refusal.args[1]) == ("/lasso/fail", code)
    web.send(encode("/lasso/ping"))
    assert heard(web) == Message("/lasso/pong")


def test_a_frame_that_is_too_large_ends_the_connection(
    server: Running, web: ClientConnection, ear: Ear
) -> None:
    web.send(b"x" * (MAX_PACKET_BYTES + 1))
    with pytest.raises(Exception, match="1009"):
        web.recv(timeout=ANSWER_LIMIT_S)
    assert ear.ask("/lasso/ping", answer="/lasso/pong") == ()


def test_listeners_are_forgotten_with_their_connection(server: Running, ear: Ear) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/") as web:
        web.send(json.dumps({"COMMAND": "LISTEN", "DATA": "/lasso/mix"}))
        heard(web)
        assert server.ask(lambda: len(server.server.clients)) == 1
    for _ in range(100):
        if not server.ask(lambda: len(server.server.clients) + len(server.server.web_talks)):
            break
    ear.drain()
    assert server.ask(lambda: len(server.server.clients) + len(server.server.web_talks)) == 0
