"""What clients ask about the server itself: is it there, what can it do, who is told what."""

import hmac
from typing import TYPE_CHECKING

from soundlasso.bridge.osc.clients import Peer, Topic
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import encode

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server

PROTOCOL = 1  # goes up when an address changes its meaning


def ping(server: "Server", call: "Call") -> None:
    """Answer with the same arguments."""
    call.answer("/lasso/pong", *call.given)


def version(server: "Server", call: "Call") -> None:
    """Answer with name, version, model, its device, and protocol."""
    major, minor, patch = server.version
    options = server.options
    about = ("soundlasso", major, minor, patch, options.model, options.device, PROTOCOL)
    call.answer("/lasso/version/reply", *about)


def status(server: "Server", call: "Call") -> None:
    """Answer with what is going on."""
    call.answer("/lasso/status/reply", *server.status())


def sync(server: "Server", call: "Call") -> None:
    """Answer when all commands before this one are applied, also those that take long."""
    if server.is_busy:
        server.in_background(call, _synced(call))
    else:
        call.answer("/lasso/synced", *call.given)


async def _synced(call: "Call") -> None:
    call.answer("/lasso/synced", *call.given)


def list_rows(server: "Server", call: "Call") -> None:
    """Answer with the rows of the table."""
    prefix = call.given[0] or ""
    rows = [row for row in server.table.rows if row.address.startswith(prefix)]
    if not rows:
        raise OscError("not_found", f"no address starts with {prefix!r}")
    items = []
    for row in rows:
        ranges = ",".join(arg.range_text for arg in row.args)
        units = ",".join(arg.unit for arg in row.args)
        items.append(("/lasso/list/item", row.address, row.tags, int(row.access), ranges, units, row.help))
    server.answer_many(call, [*items, ("/lasso/list/end", len(items))])


def list_clients(server: "Server", call: "Call") -> None:
    """Answer with the registered clients."""
    items = [("/lasso/clients/item", c.peer.host, c.peer.port, int(c.topics)) for c in server.clients]
    server.answer_many(call, [*items, ("/lasso/clients/end", len(items))])


def list_slots(server: "Server", call: "Call") -> None:
    """Answer with the slots and their queries."""
    items = [("/lasso/slot/item", number, slot.query) for number, slot in sorted(server.state.slots.items())]
    server.answer_many(call, [*items, ("/lasso/slot/end", len(items))])


def count_slots(server: "Server", call: "Call") -> None:
    """Answer with the number of slots."""
    call.answer(call.address, len(server.state.slots))


def remove_slot(server: "Server", call: "Call") -> None:
    """Forget a slot."""
    assert call.slot is not None
    server.state.slot(call.slot)
    del server.state.slots[call.slot]
    call.done(call.slot)
    server.tree_changed(removed=call.slot)


def notify(server: "Server", call: "Call") -> None:
    """Register or leave; another port of the same host may be named."""
    wanted, port, mask, lease_s = call.given
    peer = server.peer_at(call.request.peer, port)
    if not wanted:
        client = server.clients.unregister(peer)
        return call.done(client.number if client else 0, peer.port, 0)
    _check_return_path(server, call, peer)
    topics = Topic.PARAMETERS | Topic.JOBS if mask is None else Topic(mask)
    client = server.clients.register(peer, topics, lease_s or 0.0)
    client.is_for_host = peer.name != call.request.peer.name
    call.done(client.number, peer.port, int(topics))
    if topics & Topic.PARAMETERS:
        server.send_values(peer)


def _check_return_path(server: "Server", call: "Call", peer: Peer) -> None:
    """Refuse to talk at length to an address on another machine that may not have asked for it."""
    if not (peer.is_verified or call.request.may_write):
        raise OscError(
            "forbidden", f"{peer.host} needs TCP, or /lasso/login, to be told about changes over UDP"
        )


def listen(server: "Server", call: "Call") -> None:
    """Tell the sender about one address, its value first."""
    (address,) = call.given
    peer = call.request.peer
    _check_return_path(server, call, peer)
    place = server.readable(address)
    server.clients.listen(peer, place.address)
    call.done(place.address)
    server.outbox(peer).put(encode(place.address, server.told_at(place)), replaces=place.address)


def ignore(server: "Server", call: "Call") -> None:
    """Undo `listen`."""
    (address,) = call.given
    server.clients.ignore(call.request.peer, address)
    call.done(address)


def refresh(server: "Server", call: "Call") -> None:
    """Answer with all values."""
    _check_return_path(server, call, call.request.peer)
    server.send_values(call.request.peer)
    elsewhere = server.clients.elsewhere(call.request.peer)
    if elsewhere:
        server.send_values(elsewhere)


def login(server: "Server", call: "Call") -> None:
    """Allow the sender to write, if it knows the token."""
    (token,) = call.given
    if not server.options.token or not hmac.compare_digest(token.encode(), server.options.token.encode()):
        raise OscError(
            "forbidden", "the token is wrong" if server.options.token else "the server has no token"
        )
    server.trust(call.request.peer)
    call.done()


def do(server: "Server", call: "Call") -> None:
    """Run a command with an id; the same id again repeats the answers, without progress."""
    number, address, *args = call.given
    if call.request.number is not None:
        raise OscError("bad_args", f"/lasso/do {number} within /lasso/do {call.request.number}")
    server.interpreter.run_once(call.request, number, address, args)


def dump(server: "Server", call: "Call") -> None:
    """Set how much of what comes in is logged."""
    (server.interpreter.dump_level,) = call.given
    call.done(server.interpreter.dump_level)


def clear_schedule(server: "Server", call: "Call") -> None:
    """Drop the bundles that wait."""
    call.done(server.interpreter.schedule.clear())


def quit_server(server: "Server", call: "Call") -> None:
    """Stop the server, where that is allowed."""
    if not server.options.allow_quit:
        raise OscError("forbidden", "the server was not started with --allow-quit")
    call.done()
    server.stopped.set()
