"""Changes at an instant of the audio: `/lasso/at` notes them, the next render makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc.address import is_pattern
from soundlasso.bridge.osc.dispatch import resolve
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import Message
from soundlasso.bridge.osc.state import listed

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server

MAX_CHANGES = 1024
CHANGEABLE = {"query": "query", "threshold": "gate_threshold", "gate": "gate", "avoid": "avoid"}
"""What a render can change on its way: the parameter here, and its name in `bridge.automation`."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One change: when, of what, to what."""

    at_s: float
    address: str
    key: str
    slot: int | None
    value: Any

    def for_render(self, slots: Sequence[int]) -> dict[str, Any]:
        """Return it as a `Change` of a render of some slots takes it."""
        value = self.value
        if self.key == "avoid":
            value = listed(value)
        elif self.key == "gate":
            value = bool(value)
        stem = 0 if self.slot is None else slots.index(self.slot)
        return {"at_s": self.at_s, "name": CHANGEABLE[self.key], "value": value, "stem": stem}


def plan(server: "Server", call: "Call") -> None:
    """Note a change for the next render."""
    at_s, address, *args = call.given
    if len(server.planned) >= MAX_CHANGES:
        raise OscError("queue_full", f"{MAX_CHANGES} changes are planned already")
    server.planned.append(_planned(server, call, at_s, address, args))
    call.done(at_s, server.planned[-1].address)


def _planned(server: "Server", call: "Call", at_s: float, address: str, args: Sequence[Any]) -> Planned:
    found = [] if is_pattern(address) else resolve(server.tree, Message(address, tuple(args)), call.request)
    if not found or found[0].row.key not in CHANGEABLE:
        names = ", ".join(CHANGEABLE)
        raise OscError("bad_args", f"{address} cannot change during a render; a slot's {names} can")
    asked = found[0]
    if not asked.args:
        raise OscError("bad_args", f"no value for {address} given")
    if asked.row.key == "query" and not asked.args[0]:
        raise OscError("bad_args", f"an empty query for {address}; name a sound")
    slot = asked.slot if asked.row.slot is None else asked.row.slot
    return Planned(at_s, asked.address, asked.row.key, slot, asked.args[0])


def changes_of(planned: Sequence[Planned], slots: Sequence[int]) -> list[dict[str, Any]]:
    """Return the changes for a render of some slots.

    Raises
    ------
    OscError
        One is for a slot that is not rendered.
    """
    for one in planned:
        if one.slot is not None and one.slot not in slots:
            raise OscError("bad_args", f"{one.address} is planned, but slot {one.slot} is not rendered")
    return [one.for_render(slots) for one in planned]


def list_planned(server: "Server", call: "Call") -> None:
    """Answer with the planned changes, in the order of time."""
    planned = sorted(server.planned, key=lambda one: one.at_s)
    items = [("/lasso/at/item", one.at_s, one.address, one.value) for one in planned]
    server.answer_many(call, [*items, ("/lasso/at/end", len(items))])


def clear_planned(server: "Server", call: "Call") -> None:
    """Forget all planned changes."""
    count = len(server.planned)
    server.planned.clear()
    call.done(count)
