"""Parameters: values that a client reads, sets and is told about, in up to three views.

A float with a range has its own unit at its address, 0..1 at `/norm` for faders, and text with the unit at
`/str`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc.clients import Topic

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.clients import Peer
    from soundlasso.bridge.osc.row import Row
    from soundlasso.bridge.osc.server import Server


def access(server: "Server", call: "Call") -> None:
    """Answer with the value, or set it and answer `/lasso/done address value`."""
    row, slot = call.row, call.slot if call.row.slot is None else call.row.slot
    if call.args is None:
        return call.answer(call.address, shown(row, server.state.get(row.key, slot)))
    value = from_view(row, call.args[0])
    if server.state.set(row.key, slot, value):
        server.tree_changed(added=slot)
    call.done(shown(row, value))
    tell(server, row.key, slot, by=call.request.peer)


def tell(server: "Server", key: str, slot: int | None, by: "Peer | None" = None) -> None:
    """Tell all who listen about a value that has changed, in each of its views."""
    value = server.state.get(key, slot)
    for row, address in server.table.views(key, slot):
        topic = row.topic if row.view == "native" else Topic.NOTHING
        server.publish(address, [shown(row, value)], topic, by)
        for other in server.maps.shown_at(address):
            server.publish(other, [shown(row, value)], row.topic, by)
    if server.live and key != "presence":
        server.live.changed()


def tell_all(server: "Server") -> None:
    """Tell all who listen about every value."""
    for place in list(server.tree.places()):
        if place.row.view == "native" and place.row.key and place.row.slot is None:
            tell(server, place.row.key, place.slot)


def values(server: "Server") -> Iterator[tuple[str, Any]]:
    """Go through the addresses and values of all parameters, in their own units and as they are mapped."""
    for place in server.tree.places():
        if place.row.view == "native" and place.row.key and place.row.slot is None:
            value = server.state.get(place.row.key, place.slot)
            yield place.address, shown(place.row, value)
            for row, address in server.table.views(place.row.key, place.slot):
                yield from ((other, shown(row, value)) for other in server.maps.shown_at(address))


def shown(row: "Row", value: Any) -> Any:
    """Convert a value to what a row of the table shows."""
    if row.view == "norm":
        low, high = _ends(row)
        return (value - low) / (high - low)
    if row.view == "text":
        assert row.value is not None
        return f"{value:.2f} {row.value.unit}".rstrip()
    return value


def from_view(row: "Row", given: Any) -> Any:
    """Convert what a row of the table takes to the value; the reverse of `shown`."""
    if row.view == "norm":
        low, high = _ends(row)
        return low + given * (high - low)
    return given


def _ends(row: "Row") -> tuple[float, float]:
    arg = row.value
    assert arg is not None and arg.low is not None and arg.high is not None  # or it would not have this view
    return arg.low, arg.high
