"""The OSC server: takes packets, carries out what they ask, answers every one of them."""

import asyncio
import functools
import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from soundlasso.bridge.osc import parameters
from soundlasso.bridge.osc.address import is_pattern
from soundlasso.bridge.osc.bundles import Schedule
from soundlasso.bridge.osc.call import MAX_ANSWER_RATIO, Call, Request
from soundlasso.bridge.osc.clients import Clients, Outbox, Peer, Topic
from soundlasso.bridge.osc.connection import Connection
from soundlasso.bridge.osc.dispatch import Place, Tree, resolve
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.jail import Jail
from soundlasso.bridge.osc.jobs import Jobs, worker_command
from soundlasso.bridge.osc.limits import RateLimit
from soundlasso.bridge.osc.live import Live
from soundlasso.bridge.osc.once import Answers
from soundlasso.bridge.osc.packet import Bundle, Message, decode, encode
from soundlasso.bridge.osc.process import SILENCE_LIMIT_S
from soundlasso.bridge.osc.state import State
from soundlasso.bridge.osc.table import TABLE, Access
from soundlasso.bridge.osc.transport import Port, is_loopback, open_port
from soundlasso.bridge.osc.udp import UdpPeer
from soundlasso.bridge.osc.web import WebTalk
from soundlasso.dsp.errors import SoundlassoError

LOG = logging.getLogger(__name__)
DEFAULT_PORT = 17770
MAX_FAILS_PER_S = 20
MAX_REMOTE_PACKETS_PER_S = 1000
HEARTBEAT_S = 1.0
MAX_TRUSTED = 256


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is set up; nothing that arrives can change it."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    root: Path = Path()
    model: str = "lariat"
    device: str = "cpu"
    allow: tuple[str, ...] = ()
    token: str = ""
    allow_quit: bool = False
    ignore_time_tags: bool = False
    live: str | None = None  # as `soundlasso.bridge.osc.live_source` reads it
    live_channels: int = 2
    live_record: Path | None = None
    state: State | None = None  # to begin with
    preload: bool = True  # the model, before the first render
    worker_silence_limit_s: float = SILENCE_LIMIT_S


@dataclass(slots=True)
class Counters:
    """What has been counted since the start."""

    packets: int = 0
    errors: int = 0
    dropped: int = 0
    latin1: int = 0


class Server:
    """One server on one port; `start` it inside a running event loop.

    Parameters
    ----------
    options
        How it is set up.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.table = TABLE
        self.state = options.state or State()
        self.tree = Tree(TABLE.rows, lambda: self.state.slots)
        self.clients = Clients()
        self.schedule = Schedule()
        self.jail = Jail(options.root)
        command = worker_command(options.model, options.device)
        self.jobs = Jobs(self.clients, command, options.worker_silence_limit_s)
        self.counters = Counters()
        self.live = Live(self) if options.live else None
        self.dump_level = 0
        self.stopped = asyncio.Event()
        self.web_talks: set[WebTalk] = set()
        self.port: Port | None = None
        self._networks = [ipaddress.ip_network(network, strict=False) for network in options.allow]
        self._fails = RateLimit(MAX_FAILS_PER_S)
        self._remote = RateLimit(MAX_REMOTE_PACKETS_PER_S)
        self._trusted: OrderedDict[str, None] = OrderedDict()
        self._answers = Answers()
        self._told_latin1 = RateLimit(1)
        self._tasks: set[asyncio.Task[None]] = set()

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
        if self.options.preload:
            self.jobs.worker.start()
        asyncio.get_running_loop().call_later(HEARTBEAT_S, self._heartbeat, 1.0)
        return self.port.number

    async def stop(self) -> None:
        """Say goodbye to the clients and close the port."""
        self.stopped.set()
        self.schedule.clear()
        await self.jobs.close()
        if self.live:
            await self.live.process.close()
        for client in self.clients:
            client.outbox.close()
            client.peer.send(encode("/lasso/shutdown"))
        if self.port:
            await self.port.close()

    # What the transport tells

    def admits(self, host: str) -> bool:
        """Whether to hear this host at all."""
        address = ipaddress.ip_address(host.partition("%")[0])
        return address.is_loopback or any(address in network for network in self._networks)

    def received(self, peer: Peer, packet: bytes) -> None:
        """Carry out one packet and answer it."""
        is_local = is_loopback(peer.host)
        if not is_local and not self._remote.allows(peer.host):
            self.counters.dropped += 1
            return
        self.counters.packets += 1
        request = self._request(peer, is_local, len(packet))
        try:
            element = decode(packet)
            self._dump(peer, element, packet)
            self._take(element, request)
        except OscError as error:
            self._refuse(request, "", error)

    def refused(self, peer: Peer, error: OscError) -> None:
        """Tell a peer that what it sent is no packet, or that its answer is too large."""
        self._refuse(Request(peer, self._post), "", error)

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

    def run_once(self, request: Request, number: int, address: str, args: Sequence[Any]) -> None:
        """Run a command with an id, or repeat its answers if it has run within the last minute."""
        now_s = asyncio.get_running_loop().time()
        answers = self._answers.find(request.peer.name, number, now_s)
        if answers is not None:
            for packet in answers:
                self._post(request.peer, packet)
            return
        numbered = replace(request, number=number, answers=[])
        self._answers.keep(request.peer.name, number, now_s, numbered.answers)
        self._run(Message(address, tuple(args)), numbered)

    def obey(self, peer: Peer, message: Message) -> None:
        """Carry out a command that did not come as OSC."""
        self._run(message, self._request(peer, is_loopback(peer.host), 0))

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

    def state_replaced(self, slots_before: set[int]) -> None:
        """Tell all that may have changed, after all of it has been set at once."""
        for slot in slots_before - set(self.state.slots):
            self.tree_changed(removed=slot)
        for slot in set(self.state.slots) - slots_before:
            self.tree_changed(added=slot)
        parameters.tell_all(self)

    def in_background(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        """Carry out what takes longer than the others may wait for; what is wrong with it is answered."""
        task = asyncio.get_running_loop().create_task(self._answered(call, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def unfinished(self) -> frozenset[asyncio.Task[None]]:
        """Return what is being carried out in the background."""
        return frozenset(self._tasks)

    async def _answered(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except OscError as error:
            self._refuse(call.request, call.address, error)
        except SoundlassoError as error:
            self._refuse(call.request, call.address, OscError("bad_args", str(error)))

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
        if not place.row.key or place.lacks_slot:
            raise OscError("forbidden", f"{address} has no value to read")
        return place

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
        return client.outbox if client else Outbox(peer)

    def answer_many(self, call: Call, messages: Sequence[tuple[Any, ...]]) -> None:
        """Send many answers, paced; to a source that may be forged, only as many as it may have."""
        request = call.request
        if request.bytes_left is not None:
            for message in messages:
                request.answer(*message)
            return
        for peer in self._ears(request.peer):
            outbox = self.outbox(peer)
            for address, *args in messages:
                outbox.put(encode(address, args))

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
            self.counters.errors,
            self.counters.dropped,
            *(self.live.rate_and_latency if self.live else (0.0, 0.0)),
        ]

    # One packet

    def _request(self, peer: Peer, is_local: bool, size: int) -> Request:
        may_write = is_local or peer.name in self._trusted
        is_sure = may_write or peer.is_verified
        return Request(peer, self._post, may_write, None if is_sure else MAX_ANSWER_RATIO * size)

    def _take(self, element: Message | Bundle, request: Request) -> None:
        if isinstance(element, Message):
            return self._run(element, request)
        for message in _messages(element):
            if not self._is_our_own(message):
                self._check(message, request)
        self._schedule(element, request)

    def _check(self, message: Message, request: Request) -> None:
        """Refuse a whole bundle for one wrong message, naming it."""
        try:
            resolve(self.tree, message, request)
        except OscError as error:
            raise OscError(error.code, f"bundle refused for {message.address}: {error.message}") from None

    def _schedule(self, bundle: Bundle, request: Request) -> None:
        due_s = None if self.options.ignore_time_tags else bundle.due_s
        self.schedule.at(due_s, functools.partial(self._apply, bundle, request))

    def _apply(self, bundle: Bundle, request: Request) -> None:
        for element in bundle.elements:
            if isinstance(element, Message):
                self._run(element, request)
            else:
                try:
                    self._schedule(element, request)
                except OscError as error:
                    self._refuse(request, "", error)

    def _run(self, message: Message, request: Request) -> None:
        """Carry out one message."""
        if self._is_our_own(message):
            self.counters.dropped += 1
            return
        if message.latin1:
            self._note_latin1(message, request.peer)
        try:
            calls = resolve(self.tree, message, request)
        except OscError as error:
            return self._refuse(request, message.address, error)
        for call in calls:
            self._carry_out(call)

    def _carry_out(self, call: Call) -> None:
        """Run a handler; should it fail in a way that nobody foresaw, the client hears of it all the same."""
        assert call.row.handler is not None
        outcome: OscError | None = OscError("internal", "a fault of the server; its log tells more")
        try:
            call.row.handler(self, call)
            outcome = None
        except OscError as error:
            outcome = error
        finally:
            if outcome:
                self._refuse(call.request, call.address, outcome)

    def _is_our_own(self, message: Message) -> bool:
        """Whether this is an answer, ours come back or another server's; answering it would never end."""
        return message.address in _SENT_ADDRESSES or message.address.startswith("#")

    def _refuse(self, request: Request, address: str, error: OscError) -> None:
        self.counters.errors += 1
        LOG.info("%s refused: %r %s: %s", request.peer.name, address[:128], error.code, error.message[:256])
        if self._fails.allows(request.peer.name):
            request.fail(address, error, *error.ids)

    def _note_latin1(self, message: Message, peer: Peer) -> None:
        self.counters.latin1 += 1
        if self._told_latin1.allows(peer.host):
            LOG.warning(
                "%s sends text that is not UTF-8, read as Latin-1: %r", peer.name, message.address[:128]
            )

    def _dump(self, peer: Peer, element: Message | Bundle, packet: bytes) -> None:
        if self.dump_level:
            shown = repr(element) if self.dump_level == 1 else packet.hex(" ")
            LOG.warning("%s sent %s", peer.name, shown[:2048])

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


_SENT_ADDRESSES = frozenset(row.address for row in TABLE.rows if row.access is Access.SENT)


def _messages(bundle: Bundle) -> Iterator[Message]:
    """Go through the messages of a bundle and of those in it."""
    for element in bundle.elements:
        if isinstance(element, Message):
            yield element
        else:
            yield from _messages(element)
