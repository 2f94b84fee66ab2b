"""Who hears what: registered clients, what they asked to be told, and how fast they are told.

A client is a place that messages go to: a UDP port or an open connection. It is told the current value of all
it subscribes to first, then changes, at most 20 times a second for each address (the newest value wins), in
bursts of at most 100 messages with a pause of 10 ms. Faster, and Open Stage Control and many a UDP receive
buffer lose messages.
"""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from enum import IntFlag
from typing import Any, Protocol

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import encode

MAX_CLIENTS = 64
MAX_LISTENED = 1024  # addresses for one client
MAX_PENDING = 4096  # messages that wait for one client
MAX_UNREACHABLE = 3
UPDATE_PERIOD_S = 0.05
BURST_MESSAGES = 100
BURST_PAUSE_S = 0.01


class Topic(IntFlag):
    """What a client wants to be told, as a sum."""

    NOTHING = 0
    PARAMETERS = 1
    JOBS = 2
    HEARTBEAT = 4
    METERS = 8
    ECHO = 16  # its own changes too, for two controls linked to one parameter


class Peer(Protocol):
    """A place that messages come from and go to.

    Attributes
    ----------
    name
        What no other peer is called: "udp 127.0.0.1 9000".
    host, port
        Its address.
    is_verified
        Whether it is certain that messages come from there; a UDP source can be forged.
    """

    name: str
    host: str
    port: int
    is_verified: bool

    def send(self, packet: bytes) -> None:
        """Send one packet, never waiting."""
        ...


class Outbox:
    """Messages on their way to one peer, paced."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.dropped = 0
        self._pending: OrderedDict[Hashable, bytes] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._next_s = 0.0
        self._serial = itertools.count()

    def put(self, packet: bytes, replaces: Hashable = None) -> None:
        """Send a packet soon, in the place of a waiting one that `replaces` the same thing."""
        key = next(self._serial) if replaces is None else replaces
        self._pending.pop(key, None)
        if len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            return
        self._pending[key] = packet
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._next_s), self._flush)

    async def finish(self) -> None:
        """Send what waits, in bursts as ever, and then no more."""
        for _ in range(MAX_PENDING // BURST_MESSAGES + 1):  # who asks for more meanwhile holds nothing up
            self._burst()
            if not self._pending:
                break
            await asyncio.sleep(BURST_PAUSE_S)
        self.close()

    def close(self) -> None:
        """Forget all that waits."""
        self._pending.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_s = loop.time() + UPDATE_PERIOD_S
        self._timer = None
        self._burst()
        if self._pending:
            self._timer = loop.call_later(BURST_PAUSE_S, self._flush)

    def _burst(self) -> None:
        for _ in range(BURST_MESSAGES):
            if not self._pending:  # sending may find that nobody is there, and close this
                return
            self.peer.send(self._pending.popitem(last=False)[1])


class Client:
    """One registered client."""

    def __init__(self, number: int, peer: Peer) -> None:
        self.number = number
        self.peer = peer
        self.topics = Topic.NOTHING
        self.listened: set[str] = set()
        self.ends_s: float | None = None
        self.unreachable = 0
        self.is_for_host = False  # registered by another port of its host, for it
        self.is_kept = False  # by the server's own options, whether it is there or not
        self.outbox = Outbox(peer)

    def wants(self, address: str, topic: Topic) -> bool:
        """Whether to tell this client about an address."""
        return bool(self.topics & topic) or address in self.listened


class Clients:
    """All registered clients, by the name of their peer."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._numbers = itertools.count(1)

    def __iter__(self) -> Iterator[Client]:
        """Go through the clients of this moment."""
        return iter(list(self._clients.values()))

    def __len__(self) -> int:
        """Count the clients."""
        return len(self._clients)

    def find(self, peer: Peer) -> Client | None:
        """Return the client at a peer, if it is registered."""
        return self._clients.get(peer.name)

    def register(self, peer: Peer, topics: Topic, lease_s: float = 0.0) -> Client:
        """Register a peer, or change what it is told; a lease of 0 has no end.

        Raises
        ------
        OscError
            With code ``queue_full`` when there are `MAX_CLIENTS`.
        """
        client = self._get_or_add(peer)
        client.topics = topics
        client.ends_s = asyncio.get_running_loop().time() + lease_s if lease_s else None
        return client

    def unregister(self, peer: Peer) -> Client | None:
        """Forget a peer and all it subscribed to."""
        client = self._clients.pop(peer.name, None)
        if client:
            client.outbox.close()
        return client

    def listen(self, peer: Peer, address: str) -> Client:
        """Tell a peer about one address, whatever topics it has.

        Raises
        ------
        OscError
            With code ``queue_full`` beyond `MAX_LISTENED` addresses or `MAX_CLIENTS` clients.
        """
        client = self._get_or_add(peer)
        if len(client.listened) >= MAX_LISTENED and address not in client.listened:
            raise OscError("queue_full", f"{MAX_LISTENED} addresses are listened to already")
        client.listened.add(address)
        return client

    def ignore(self, peer: Peer, address: str) -> None:
        """Undo `listen`; a client that is told nothing any more is forgotten."""
        client = self.find(peer)
        if client is None:
            return
        client.listened.discard(address)
        if not client.listened and not client.topics:
            self.unregister(peer)

    def publish(self, address: str, args: Sequence[Any], topic: Topic, by: Peer | None = None) -> None:
        """Tell all who want to know, but not the one who did it, unless it asked for an echo."""
        packet = None
        for client in self._clients.values():
            is_own = by is not None and client.peer.name == by.name
            if client.wants(address, topic) and not (is_own and not client.topics & Topic.ECHO):
                packet = packet or encode(address, args)
                client.outbox.put(packet, replaces=None if topic is Topic.JOBS else address)

    def elsewhere(self, peer: Peer) -> Peer | None:
        """Return where answers to an unregistered peer go too: the one port that its host has registered.

        `oscsend` has a new port for each message; `oscdump` on a port registered with it hears the answers.
        """
        if peer.name in self._clients:
            return None
        for_host = [c.peer for c in self._clients.values() if c.is_for_host and c.peer.host == peer.host]
        return for_host[0] if len(for_host) == 1 else None

    def unreachable(self, name: str) -> None:
        """Count a message that nobody was there to receive; after three the client is forgotten."""
        client = self._clients.get(name)
        if client and not client.is_kept:
            client.unreachable += 1
            if client.unreachable >= MAX_UNREACHABLE:
                self.unregister(client.peer)

    def expire(self) -> None:
        """Forget the clients whose lease has ended."""
        now_s = asyncio.get_running_loop().time()
        for client in self:
            if client.ends_s is not None and client.ends_s < now_s:
                self.unregister(client.peer)

    def _get_or_add(self, peer: Peer) -> Client:
        client = self.find(peer)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                raise OscError("queue_full", f"{MAX_CLIENTS} clients are registered already")
            client = self._clients[peer.name] = Client(next(self._numbers), peer)
        return client
