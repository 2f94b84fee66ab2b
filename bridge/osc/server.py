"""The OSC server: takes packets, carries out what they ask, answers every one of them."""

import asyncio
import functools
import ipaddress
from collections import OrderedDict
from collections.abc import Coroutine, Iterator, Sequence
from importlib.metadata import version
from typing import Any
from weakref import WeakValueDictionary

from soundlasso.bridge.osc import exported, parameters
from soundlasso.bridge.osc.address import is_pattern
from soundlasso.bridge.osc.call import MAX_ANSWER_RATIO, Allowance, Call, Request
from soundlasso.bridge.osc.chain import Chain
from soundlasso.bridge.osc.chaining import chain_rows
from soundlasso.bridge.osc.clients import Clients, Outbox, Peer, Topic
from soundlasso.bridge.osc.connection import Connection
from soundlasso.bridge.osc.dispatch import REST, Place, Tree
from soundlasso.bridge.osc.errors import INTERNAL, OscError
from soundlasso.bridge.osc.hearsay import Hearsay
from soundlasso.bridge.osc.interpreter import Interpreter
from soundlasso.bridge.osc.jail import Jail
from soundlasso.bridge.osc.jobs import Jobs, worker_command
from soundlasso.bridge.osc.limits import RateLimit
from soundlasso.bridge.osc.live import Live
from soundlasso.bridge.osc.maps import Maps
from soundlasso.bridge.osc.options import Notified, Options
from soundlasso.bridge.osc.packet import Message, encode
from soundlasso.bridge.osc.row import Table
from soundlasso.bridge.osc.state import State
from soundlasso.bridge.osc.table import ROWS
from soundlasso.bridge.osc.timeline import Planned
from soundlasso.bridge.osc.transport import Port, address_of, is_loopback, open_port, open_udp
from soundlasso.bridge.osc.udp import UdpEndpoint, UdpPeer
from soundlasso.bridge.osc.web import WebTalk
from soundlasso.dsp.errors import SoundlassoError

MAX_REMOTE_PACKETS_PER_S = 1000
HEARTBEAT_S = 1.0
MAX_TRUSTED = 256
MAX_IN_BACKGROUND = 256


class Server:
    """One server on one port; `start` it inside a running event loop.

    Parameters
    ----------
    options
        How it is set up.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.state = options.state or State()
        self._make_table()
        self.maps = Maps(options.maps, self.tree)
        self.clients = Clients()
        self.interpreter = Interpreter(self)
        self.jail = Jail(options.root)
        command = worker_command(options.model, options.device)
        self.jobs = Jobs(self.clients, command, options.worker_silence_limit_s)
        self.live = Live(self) if options.live else None
        self.planned: list[Planned] = []
        self.hearsay = Hearsay()
        self.stopped = asyncio.Event()
        self.web_talks: set[WebTalk] = set()
        self.port: Port | None = None
        self._ardour: UdpEndpoint | None = None
        self._networks = [ipaddress.ip_network(network, strict=False) for network in options.allow]
        self._remote = RateLimit(MAX_REMOTE_PACKETS_PER_S)
        self._trusted: OrderedDict[str, None] = OrderedDict()
        self._passing: WeakValueDictionary[str, Outbox] = WeakValueDictionary()  # while they hold something
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # of those in the background, first come first

    @functools.cached_property
    def version(self) -> tuple[int, int, int]:
        """The version of soundlasso."""
        major, minor, patch = version("soundlasso").split(".")[:3]
        return int(major), int(minor), int(patch)

    async def start(self) -> int:
        """Open the port; return its number.

        Raises
        ------
        PortError
            When the port cannot be had.
        """
        self.port = await open_port(self.options.host, self.options.port, self)
        if self.options.ardour_port is not None:
            self._ardour = await open_udp(self.options.ardour_port, self)
        if self.options.preload:
            self.jobs.worker.start()
        for wanted in self.options.notify:
            self._notify(wanted)
        asyncio.get_running_loop().call_later(HEARTBEAT_S, self._heartbeat, 1.0)
        return self.port.number

    def _notify(self, wanted: Notified) -> None:
        """Register a client of the options, and tell it all."""
        assert self.port is not None
        client = self.clients.register(UdpPeer(self.port.udp, wanted.host, wanted.port), wanted.topics)
        client.is_for_host = client.is_kept = True
        client.peer.send(encode("/lasso/startup"))
        if wanted.topics & Topic.PARAMETERS:
            self.send_values(client.peer)

    async def stop(self) -> None:
        """Say goodbye to the clients and close the port."""
        self.stopped.set()
        self.interpreter.schedule.clear()
        await self.jobs.close()
        if self.live:
            await self.live.process.close()
        await asyncio.gather(*(outbox.finish() for outbox in self._outboxes()))
        for client in self.clients:
            client.peer.send(encode("/lasso/shutdown"))
        if self._ardour:
            self._ardour.close()
        if self.port:
            await self.port.close()

    # What the transport tells

    def admits(self, host: str) -> bool:
        """Whether to hear this host at all."""
        address = address_of(host)
        return address.is_loopback or any(address in network for network in self._networks)

    def received(self, peer: Peer, packet: bytes) -> None:
        """Carry out one packet and answer it."""
        is_local = is_loopback(peer.host)
        if not is_local and not self._remote.allows(peer.host):
            self.interpreter.counters.dropped += 1
            return
        self.interpreter.take(packet, self._request(peer, is_local, len(packet)))

    def refused(self, peer: Peer, error: OscError) -> None:
        """Tell a peer that what it sent is no packet, or that its answer is too large."""
        self.interpreter.refuse(Request(peer, self._post), "", error)

    def unreachable(self, name: str) -> None:
        """Count a datagram that nobody received."""
        self.clients.unreachable(name)

    def web(self, connection: Connection) -> WebTalk:
        """Make what answers HTTP and WebSocket on one connection."""
        return WebTalk(self, connection)

    def left(self, peer: Peer) -> None:
        """Forget a connection that has ended."""
        self.web_talks = {talk for talk in self.web_talks if talk.connection is not peer}
        self.clients.unregister(peer)
        self._trusted.pop(peer.name, None)

    # What the commands need

    def obey(self, peer: Peer, message: Message) -> None:
        """Carry out a command that did not come as OSC."""
        self.interpreter.run(message, self._request(peer, is_loopback(peer.host), 0))

    def publish(self, address: str, args: Sequence[Any], topic: Topic, by: Peer | None = None) -> None:
        """Tell all clients that want to know."""
        self.clients.publish(address, args, topic, by)

    def tree_changed(self, added: int | None = None, removed: int | None = None) -> None:
        """Tell that a slot has come or gone."""
        if self.live:
            self.live.changed()
        command, slot = ("PATH_REMOVED", removed) if added is None else ("PATH_ADDED", added)
        for talk in self.web_talks:
            talk.tell(command, f"/lasso/slot/{slot}")
        self.publish("/lasso/slot/count", [len(self.state.slots)], Topic.PARAMETERS)

    def rechain(self, chain: Chain) -> None:
        """Take up another chain, and tell that its parameters have gone and come."""
        before, self.state.chain = self.state.chain, chain
        self.chain_replaced(before)

    def chain_replaced(self, before: Chain) -> None:
        """Make the rows of a new chain, and tell of them."""
        self._make_table()
        if self.live:
            self.live.changed()
        self.publish("/lasso/chain/count", [len(self.state.chain.links)], Topic.PARAMETERS)
        for number, _, name, _ in self.state.chain.controls():  # of an effect that moves up, too
            parameters.tell(self, f"{number}.{name}", None)
        for talk in self.web_talks:
            for command, links in (("PATH_REMOVED", before.links), ("PATH_ADDED", self.state.chain.links)):
                for number in range(1, len(links) + 1):
                    talk.tell(command, f"/lasso/chain/{number}")

    def _make_table(self) -> None:
        of_ardour = [] if self.options.ardour_port is None else [exported.ROW]
        self.table = Table([*ROWS, *of_ardour, *chain_rows(self.state.chain)])
        self.tree = Tree(self.table.rows, lambda: self.state.slots)

    def state_replaced(self, slots_before: set[int], chain_before: Chain) -> None:
        """Tell all that may have changed, after all of it has been set at once."""
        if self.state.chain != chain_before:
            self.chain_replaced(chain_before)
        for slot in slots_before - set(self.state.slots):
            self.tree_changed(removed=slot)
        for slot in set(self.state.slots) - slots_before:
            self.tree_changed(added=slot)
        parameters.tell_all(self)

    @property
    def is_busy(self) -> bool:
        """Whether something is being carried out in the background."""
        return bool(self._tasks)

    def in_background(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        """Carry out what takes longer than the others may wait for, one after another in the order they came.

        Raises
        ------
        OscError
            With code ``busy`` when `MAX_IN_BACKGROUND` wait already.
        """
        if len(self._tasks) >= MAX_IN_BACKGROUND:
            work.close()
            raise OscError("busy", f"{MAX_IN_BACKGROUND} commands wait already; wait for their answers first")
        task = asyncio.get_running_loop().create_task(self._answered(call, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        """Wait for the turn and carry out; what is wrong with it is answered, foreseen or not."""
        outcome: OscError | None = INTERNAL
        try:
            async with self._turn:
                await work
            outcome = None
        except OscError as error:
            outcome = error
        except SoundlassoError as error:
            outcome = OscError("bad_args", str(error))
        finally:
            if outcome:
                self.interpreter.refuse(call.request, call.address, outcome)

    def readable(self, address: str) -> Place:
        """Find the one parameter at an address.

        Raises
        ------
        OscError
            When there is none, it is a pattern, or it cannot be read.
        """
        if is_pattern(address):
            raise OscError("bad_args", f"{address!r} is a pattern; name one address")
        (place,) = self.tree.find(address)
        if place.row.address.endswith(REST):
            return place
        if not place.row.key or place.lacks_slot:
            raise OscError("forbidden", f"{address} has no value to read")
        return place

    def told_at(self, place: Place) -> list[Any]:
        """Return what an address tells: its value, or what a DAW has told there."""
        return [self.value_at(place)] if place.row.key else self.hearsay.get(place.address)

    def value_at(self, place: Place) -> Any:
        """Return the value that an address shows."""
        slot = place.slot if place.row.slot is None else place.row.slot
        return parameters.shown(place.row, self.state.get(place.row.key, slot))

    def peer_at(self, peer: Peer, port: int | None) -> Peer:
        """Return the peer, or the one at another UDP port of the same host."""
        if not port:
            return peer
        assert self.port is not None
        return UdpPeer(self.port.udp, peer.host, port)

    def outbox(self, peer: Peer) -> Outbox:
        """Return a peer's paced way out."""
        client = self.clients.find(peer)
        if client:
            return client.outbox
        return self._passing.setdefault(peer.name, Outbox(peer))

    def _outboxes(self) -> list[Outbox]:
        return [*(client.outbox for client in self.clients), *self._passing.values()]

    def answer_many(self, call: Call, messages: Sequence[tuple[Any, ...]]) -> None:
        """Send many answers, paced; to a source that may be forged, only as many as it may have."""
        request = call.request
        if request.allowance.bytes_left is not None:
            for message in messages:
                request.answer(*message)
            return
        packets = [encode(address, args) for address, *args in messages]
        for packet in packets:
            request.keep(packet)
        for peer in self._ears(request.peer):
            outbox = self.outbox(peer)
            for packet in packets:
                outbox.put(packet)

    def send_values(self, peer: Peer) -> None:
        """Send all values, between `/lasso/update` 1 and 0."""
        outbox = self.outbox(peer)
        outbox.put(encode("/lasso/update", [1]))
        for address, value in parameters.values(self):
            outbox.put(encode(address, [value]), replaces=address)
        outbox.put(encode("/lasso/update", [0]))

    def trust(self, peer: Peer) -> None:
        """Let a peer write from now on."""
        self._trusted[peer.name] = None
        if len(self._trusted) > MAX_TRUSTED:
            self._trusted.popitem(last=False)

    def status(self) -> list[Any]:
        """Return what `/lasso/status` tells."""
        running = self.jobs.running
        return [
            "rendering" if running else "idle" if self.jobs.worker.is_ready else "loading",
            len(self.jobs.queued),
            int(running is not None),
            running.progress if running else 0.0,
            self.jobs.speed,
            len(self.clients),
            self.interpreter.counters.errors,
            self.interpreter.counters.dropped,
            *(self.live.rate_and_latency if self.live else (0.0, 0.0)),
        ]

    # Answers

    def _request(self, peer: Peer, is_local: bool, size: int) -> Request:
        may_write = is_local or peer.name in self._trusted
        is_sure = may_write or peer.is_verified
        return Request(peer, self._post, may_write, Allowance(None if is_sure else MAX_ANSWER_RATIO * size))

    def _post(self, peer: Peer, packet: bytes) -> None:
        """Send an answer."""
        for ear in self._ears(peer):
            ear.send(packet)

    def _ears(self, peer: Peer) -> Iterator[Peer]:
        """Go through where answers to a peer are heard."""
        yield peer
        elsewhere = self.clients.elsewhere(peer)
        if elsewhere:
            yield elsewhere

    def _heartbeat(self, beat: float) -> None:
        """Each second: expire leases, and say that we are there."""
        if self.stopped.is_set():
            return
        self.clients.expire()
        self.publish("/lasso/heartbeat", [beat], Topic.HEARTBEAT)
        asyncio.get_running_loop().call_later(HEARTBEAT_S, self._heartbeat, 1.0 - beat)
