"""From an address, or an address pattern, to the rows of the table that it means."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from soundlasso.bridge.osc.address import is_pattern, part_pattern
from soundlasso.bridge.osc.arguments import Arg, coerce, is_press
from soundlasso.bridge.osc.call import Call, Request
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import Message
from soundlasso.bridge.osc.row import SLOT, Access, Row

MAX_MATCHES = 1024
MAX_REMEMBERED = 4096
_INDEX = "{slot}"
REST = "{rest}"
_PREFIX = "/lasso/"


@dataclass(frozen=True, slots=True)
class Place:
    """One address that exists: a row, and the slot it is about; `lacks_slot` if that is still to be given."""

    row: Row
    address: str
    slot: int | None = None
    lacks_slot: bool = False


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    indexed: "_Node | None" = None
    row: Row | None = None
    short: Row | None = None  # a row with a slot, the slot left out of the address
    rest: Row | None = None  # a row for all that lies below


class Tree:
    """The rows as a tree of address parts.

    Parameters
    ----------
    rows
        The table.
    slots
        Gives the numbers of the slots that exist now, for patterns.
    """

    def __init__(self, rows: Sequence[Row], slots: Callable[[], Iterable[int]]) -> None:
        self._root = _Node()
        self._known: dict[str, Place] = {}
        self._slots = slots
        for row in rows:
            parts = row.address[1:].split("/")
            if parts[-1] == REST:
                self._add(parts[:-1]).rest = row
                continue
            self._add(parts).row = row
            if _INDEX in parts:
                self._add([part for part in parts if part != _INDEX]).short = row
        self._addresses = [row.address for row in rows if row.access is not Access.SENT]

    def find(self, address: str) -> list[Place]:
        """Return the places that an address or pattern means, at least one.

        Raises
        ------
        OscError
            With code ``unknown_address``, ``out_of_range`` for a slot number, ``malformed`` for a broken
            pattern, ``too_large`` for one that matches more than `MAX_MATCHES` addresses.
        """
        known = self._known.get(address)
        if known:
            return [known]
        if not is_pattern(address):
            return [self._remember(address, self._find_one(address))]
        places = list(_search(self._root, _pattern_parts(address), sorted(self._slots())))
        if not places:
            raise OscError("unknown_address", f"pattern {address!r} matches no address that can be read")
        if len(places) > MAX_MATCHES:
            raise OscError(
                "too_large", f"{address!r} matches {len(places)} addresses; the most is {MAX_MATCHES}"
            )
        return places

    def places(self, access: Access = Access.READ) -> Iterator[Place]:
        """Go through all addresses that exist now and allow any of `access`."""
        return _search(self._root, ["", "*"], sorted(self._slots()), access)

    def _remember(self, address: str, place: Place) -> Place:
        """Keep what has been found; faders send the same addresses again and again."""
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[address] = place
        return place

    def _add(self, parts: Sequence[str]) -> _Node:
        node = self._root
        for part in parts:
            if part == _INDEX:
                node.indexed = node.indexed or _Node()
                node = node.indexed
            else:
                node = node.children.setdefault(part, _Node())
        return node

    def _find_one(self, address: str) -> Place:
        node: _Node | None = self._root
        slot = None
        for part in address[1:].split("/"):
            assert node is not None
            if node.rest:
                return Place(node.rest, address)
            if part not in node.children and node.indexed and part.isdecimal():
                (slot,) = coerce([SLOT], [part])
                node = node.indexed
            else:
                node = node.children.get(part)
            if node is None:
                raise self._unknown(address)
        if node and node.row:
            return Place(node.row, node.row.address.replace(_INDEX, str(slot)), slot)
        if node and node.short:
            return Place(node.short, address, lacks_slot=True)
        raise self._unknown(address)

    def _unknown(self, address: str) -> OscError:
        for known in self._addresses:
            if address.startswith(f"{known}/"):
                rest = address[len(known) + 1 :]
                return OscError(
                    "unknown_address", f"no address {address!r}; send {rest!r} as argument of {known!r}"
                )
        # Without what all have in common, which would make every one look near.
        endings = {known.removeprefix(_PREFIX): known for known in self._addresses}
        near = difflib.get_close_matches(address.removeprefix(_PREFIX), endings, n=1, cutoff=0.7)
        hint = f"did you mean {endings[near[0]]!r}" if near else "/lasso/list tells all"
        return OscError("unknown_address", f"no address {address!r}; {hint}")


def _pattern_parts(pattern: str) -> list[str]:
    """Cut a pattern into parts; an empty one stands for `//`, any number of parts."""
    return re.sub("//+", "//", pattern)[1:].split("/")


def _search(
    root: _Node, parts: Sequence[str], slots: Sequence[int], access: Access = Access.READ
) -> Iterator[Place]:
    """Go through the places that match; each node is tried once with each rest of the pattern.

    What is only written is left out: `/lasso/*` must not press every button.
    """
    seen: set[tuple[int, int, int | None]] = set()
    found: set[tuple[int, int | None]] = set()
    waiting: list[tuple[_Node, int, int | None]] = [(root, 0, None)]
    while waiting:
        node, at, slot = waiting.pop()
        if (id(node), at, slot) in seen:
            continue
        seen.add((id(node), at, slot))
        row = node.row if at == len(parts) else None
        if row and row.access & access and (id(node), slot) not in found:
            found.add((id(node), slot))
            yield Place(row, row.address.replace(_INDEX, str(slot)), slot)
        waiting.extend(reversed(list(_steps(node, parts, at, slot, slots))))


def _steps(
    node: _Node, parts: Sequence[str], at: int, slot: int | None, slots: Sequence[int]
) -> Iterator[tuple[_Node, int, int | None]]:
    """Go through the next places of a search: one part further, or, under `//`, one node further."""
    if at == len(parts):
        return
    anything = parts[at] == ""
    if anything:
        yield node, at + 1, slot
    pattern = None if anything else part_pattern(parts[at])
    after = at if anything else at + 1
    for name, child in node.children.items():
        if pattern is None or pattern.matches(name):
            yield child, after, slot
    for number in slots if node.indexed else ():
        if pattern is None or pattern.matches(str(number)):
            assert node.indexed is not None
            yield node.indexed, after, number


def resolve(tree: Tree, message: Message, request: Request) -> list[Call]:
    """Turn a message into the calls it means, with all that can be wrong with it found before any is made.

    Raises
    ------
    OscError
        As `Tree.find` and `coerce`; ``forbidden`` for what the peer or anybody may not do.
    """
    calls = (_call(place, message.args, request) for place in tree.find(message.address))
    return [call for call in calls if call is not None]


def _call(place: Place, args: Sequence[Any], request: Request) -> Call | None:
    """Check arguments and permission; None for the release of a button."""
    row, address, slot = place.row, place.address, place.slot
    if place.lacks_slot:
        slot, *args = coerce([SLOT, Arg("arguments", "*")], args)
        address = row.address.replace(_INDEX, str(slot))
    checked = _checked(row, address, args)
    if row.is_trigger and checked is None:
        return None
    if checked is not None and not (request.may_write or row.is_open):
        raise OscError("forbidden", f"{address} needs /lasso/login with the server's token first")
    return Call(row, address, slot, checked, request)


def _checked(row: Row, address: str, args: Sequence[Any]) -> tuple[Any, ...] | None:
    """Fit the arguments; None reads a value, or is the release of a trigger."""
    if row.is_trigger:
        return () if is_press(args) else None
    if row.access & Access.READ and not args:
        return None
    if not row.access & Access.WRITE:
        raise OscError("forbidden", f"{address} is told by the server; it cannot be set")
    return coerce(row.args, args)
