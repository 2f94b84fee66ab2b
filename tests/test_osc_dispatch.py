"""The table is sound, and each address, pattern and argument list leads to the right rows."""

from pathlib import Path

import pytest

from soundlasso.bridge.osc.address import is_pattern
from soundlasso.bridge.osc.call import Request
from soundlasso.bridge.osc.dispatch import Tree, resolve
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import MAX_ADDRESS_BYTES, Message
from soundlasso.bridge.osc.reference import as_markdown, page
from soundlasso.bridge.osc.row import Access, Row, Table
from soundlasso.bridge.osc.state import Settings, Slot
from soundlasso.bridge.osc.table import ROWS


class Nobody:
    name, host, port, is_verified = "udp 127.0.0.1 1", "127.0.0.1", 1, False

    def send(self, packet: bytes) -> None:
        raise AssertionError("nothing is sent while addresses are resolved")


@pytest.fixture
def tree() -> Tree:
    return Tree(ROWS, lambda: [1, 2, 12])


def request(may_write: bool = True) -> Request:
    return Request(Nobody(), lambda peer, packet: None, may_write)


def addresses(tree: Tree, pattern: str) -> list[str]:
    return [place.address for place in tree.find(pattern)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.address)
def test_every_row_is_whole(row: Row) -> None:
    assert row.address.startswith("/lasso/")
    assert not is_pattern(row.address.replace("{slot}", "1").replace("{rest}", "x"))
    assert len(row.address) < MAX_ADDRESS_BYTES
    assert row.help
    assert row.help == row.help.strip()
    assert (row.handler is None) == (row.access is Access.SENT)
    assert not (row.is_trigger and row.args)
    assert all(arg.tag != "*" for arg in row.args[:-1])


def test_addresses_are_there_once() -> None:
    assert len({row.address for row in ROWS}) == len(ROWS)


def test_parameters_are_the_fields_of_the_state() -> None:
    fields = set(Slot.__slots__) | set(Settings.__slots__)
    assert {row.key for row in ROWS if row.key} == fields


@pytest.mark.parametrize("row", [row for row in ROWS if row.key], ids=lambda row: row.address)
def test_every_parameter_is_seen_at_its_address(row: Row) -> None:
    slot = row.slot or (1 if "{slot}" in row.address else None)
    assert row.address.replace("{slot}", "1") in [address for _, address in Table(ROWS).views(row.key, slot)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/lasso/mix", ["/lasso/mix"]),
        ("/lasso/slot/12/gain", ["/lasso/slot/12/gain"]),
        ("/lasso/slot/012/gain", ["/lasso/slot/12/gain"]),
        ("/lasso/slot/3/gain", ["/lasso/slot/3/gain"]),  # setting it makes the slot
        ("/lasso/slot/*/gain", ["/lasso/slot/1/gain", "/lasso/slot/2/gain", "/lasso/slot/12/gain"]),
        ("/lasso/slot/1?/{gain,mute}", ["/lasso/slot/12/gain", "/lasso/slot/12/mute"]),
        ("/lasso/[lm]ix", ["/lasso/mix"]),
        (
            "//str",
            [
                "/lasso/mix/str",
                *(f"/lasso/slot/{n}/{key}/str" for n in (1, 2, 12) for key in ("gain", "threshold")),
            ],
        ),
        (
            "/lasso//norm",
            [
                "/lasso/mix/norm",
                *(f"/lasso/slot/{n}/{key}/norm" for n in (1, 2, 12) for key in ("gain", "threshold")),
            ],
        ),
        ("//lasso////mix", ["/lasso/mix"]),
    ],
)
def test_addresses_are_found(tree: Tree, pattern: str, expected: list[str]) -> None:
    assert sorted(addresses(tree, pattern)) == sorted(expected)


def test_a_pattern_presses_no_button(tree: Tree) -> None:
    found = {place.row for place in tree.find("//*")}
    assert found == {row for row in ROWS if row.access & Access.READ and "{rest}" not in row.address}


@pytest.mark.parametrize("pieces", [1, 2, 3, 4])
def test_a_hostile_pattern_finds_each_address_once(tree: Tree, pieces: int) -> None:
    found = addresses(tree, "//*" * pieces)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("address", "code", "hint"),
    [
        ("/lasso/nosuch", "unknown_address", "/lasso/list"),
        ("/lasso/rendr", "unknown_address", "did you mean '/lasso/render'"),
        ("/lasso/query/violin", "unknown_address", "send 'violin' as argument of '/lasso/query'"),
        ("/lasso", "unknown_address", ""),
        ("/", "unknown_address", ""),
        ("/lasso/mix/", "unknown_address", ""),
        ("/lasso/slot/0/gain", "out_of_range", "1..64"),
        ("/lasso/slot/65/gain", "out_of_range", "1..64"),
        ("/lasso/slot/9999999999999999999999/gain", "out_of_range", ""),
        ("/lasso/slot/x/gain", "unknown_address", ""),
        ("/nosuch/*", "unknown_address", "no address"),
        ("/lasso/{mix", "malformed", "not closed"),
    ],
)
def test_unknown_addresses_are_refused_with_a_hint(tree: Tree, address: str, code: str, hint: str) -> None:
    with pytest.raises(OscError) as refusal:
        tree.find(address)
    assert refusal.value.code == code
    assert hint in refusal.value.message


def test_the_slot_may_be_the_first_argument(tree: Tree) -> None:
    (call,) = resolve(tree, Message("/lasso/slot/gain", (2, -3)), request())
    assert (call.address, call.slot, call.args) == ("/lasso/slot/2/gain", 2, (-3.0,))
    (call,) = resolve(tree, Message("/lasso/slot/gain", (2,)), request())
    assert (call.address, call.args) == ("/lasso/slot/2/gain", None)


def test_the_release_of_a_button_is_no_call(tree: Tree) -> None:
    assert resolve(tree, Message("/lasso/slot/1/remove", (0.0,)), request()) == []
    assert len(resolve(tree, Message("/lasso/slot/1/remove", (1.0,)), request())) == 1


def test_who_may_not_write_may_read(tree: Tree) -> None:
    assert resolve(tree, Message("/lasso/mix"), request(may_write=False))
    assert resolve(tree, Message("/lasso/ping"), request(may_write=False))
    with pytest.raises(OscError, match="token"):
        resolve(tree, Message("/lasso/mix", (0.5,)), request(may_write=False))


@pytest.mark.parametrize("address", ["/lasso/slot/1/presence", "/lasso/mix/str", "/lasso/done"])
def test_what_the_server_tells_cannot_be_set(tree: Tree, address: str) -> None:
    with pytest.raises(OscError) as refusal:
        resolve(tree, Message(address, ("x",)), request())
    assert refusal.value.code == "forbidden"


def test_the_page_that_is_kept_is_the_page_of_now() -> None:
    assert (Path(__file__).parents[1] / "bridge/osc/README.md").read_text() == page()


def test_the_page_to_read_has_every_row() -> None:
    lines = as_markdown().splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)
    assert "| `/lasso/mix` | `f` 0..1 | get, set | 0 the sound that goes in, 1 the slots |" in lines
