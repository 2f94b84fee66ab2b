"""From a packet to what it asks for: bundles at their time, messages one by one, each answered."""

import asyncio
import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc.address import is_pattern
from soundlasso.bridge.osc.bundles import Schedule
from soundlasso.bridge.osc.call import Call, Request
from soundlasso.bridge.osc.clients import Peer
from soundlasso.bridge.osc.dispatch import resolve
from soundlasso.bridge.osc.errors import INTERNAL, OscError
from soundlasso.bridge.osc.limits import RateLimit
from soundlasso.bridge.osc.once import Answers
from soundlasso.bridge.osc.packet import Bundle, Message, decode
from soundlasso.bridge.osc.row import Access
from soundlasso.bridge.osc.table import ROWS

if TYPE_CHECKING:
    from soundlasso.bridge.osc.server import Server

LOG = logging.getLogger(__name__)
MAX_FAILS_PER_S = 20
MAX_MATCHES_PER_S = 4096  # of patterns, for each host: `//*` takes 14 ms, and a packet may hold many
MATCHES_FOR_SEARCH = 32  # how many a search costs by itself


@dataclass(slots=True)
class Counters:
    """What has been counted since the start."""

    packets: int = 0
    errors: int = 0
    dropped: int = 0
    latin1: int = 0


class Interpreter:
    """Carries out what packets ask of a server; whatever is wrong with one is answered, never raised.

    Parameters
    ----------
    server
        Whose rows, state and clients the commands are about.

    Attributes
    ----------
    schedule
        The bundles that wait for their time.
    dump_level
        How much of what comes in is logged: 0 nothing, 1 text, 2 bytes.
    """

    def __init__(self, server: "Server") -> None:
        self.schedule = Schedule()
        self.counters = Counters()
        self.dump_level = 0
        self._server = server
        self._fails = RateLimit(MAX_FAILS_PER_S)
        self._matches = RateLimit(MAX_MATCHES_PER_S)
        self._told_latin1 = RateLimit(1)
        self._answers = Answers()

    def take(self, packet: bytes, request: Request) -> None:
        """Carry out one packet."""
        self.counters.packets += 1
        try:
            element = decode(packet)
            self._dump(request.peer, element, packet)
            self._take(element, request)
        except OscError as error:
            self.refuse(request, "", error)

    def run(self, message: Message, request: Request) -> None:
        """Carry out one message."""
        if _is_our_own(message):
            self.counters.dropped += 1
            return
        if message.latin1:
            self._note_latin1(message, request.peer)
        for meant in self._meant(message):
            try:
                calls = self._resolved(meant, request)
            except OscError as error:
                self.refuse(request, meant.address, error)
                continue
            for call in calls:
                self._carry_out(call)

    def run_once(self, request: Request, number: int, address: str, args: Sequence[Any]) -> None:
        """Run a command with an id, or repeat its answers if it has run within the last minute."""
        now_s = asyncio.get_running_loop().time()
        answers = self._answers.find(request.peer.name, number, now_s)
        if answers is not None:
            for packet in answers:
                request.send(packet)
            return
        numbered = replace(request, number=number, is_checked=False, answers=[])
        self._answers.keep(request.peer.name, number, now_s, numbered.answers)
        self.run(Message(address, tuple(args)), numbered)

    def refuse(self, request: Request, address: str, error: OscError) -> None:
        """Tell who asked what is wrong, unless it asks wrongly too often."""
        self.counters.errors += 1
        LOG.info("%s refused: %r %s: %s", request.peer.name, address[:128], error.code, error.message[:256])
        if self._fails.allows(request.peer.name):
            request.fail(address, error, *error.ids)

    def _take(self, element: Message | Bundle, request: Request) -> None:
        if isinstance(element, Message):
            return self.run(element, request)
        for message in _messages(element):
            if not _is_our_own(message):
                self._check(message, request)
        request.is_checked = True
        self._schedule(element, request)

    def _check(self, message: Message, request: Request) -> None:
        """Refuse a whole bundle for one wrong message, naming it."""
        try:
            for meant in self._meant(message):
                self._resolved(meant, request)
        except OscError as error:
            raise OscError(error.code, f"bundle refused for {message.address}: {error.message}") from None

    def _resolved(self, message: Message, request: Request) -> list[Call]:
        """Find what a message means; a host may only look for so much by patterns."""
        if request.is_checked or not is_pattern(message.address):
            return resolve(self._server.tree, message, request)
        if not self._matches.allows(request.peer.host, MATCHES_FOR_SEARCH):
            raise OscError("rate_limited", f"patterns match more than {MAX_MATCHES_PER_S} addresses a second")
        calls = resolve(self._server.tree, message, request)
        self._matches.allows(request.peer.host, len(calls))
        return calls

    def _meant(self, message: Message) -> list[Message]:
        addresses = self._server.maps.meant(message.address)
        return [message if at == message.address else replace(message, address=at) for at in addresses]

    def _schedule(self, bundle: Bundle, request: Request) -> None:
        due_s = None if self._server.options.ignore_time_tags else bundle.due_s
        self.schedule.at(due_s, functools.partial(self._apply, bundle, request), bundle.size)

    def _apply(self, bundle: Bundle, request: Request) -> None:
        for element in bundle.elements:
            if isinstance(element, Message):
                self.run(element, request)
            else:
                try:
                    self._schedule(element, request)
                except OscError as error:
                    self.refuse(request, "", error)

    def _carry_out(self, call: Call) -> None:
        """Run a handler; should it fail in a way that nobody foresaw, the client hears of it all the same."""
        assert call.row.handler is not None
        try:
            call.row.handler(self._server, call)
        except OscError as error:
            self.refuse(call.request, call.address, error)
        except Exception as error:  # which must not stop the rest of a bundle, or the connection
            fault = {"message": f"a fault in {call.address}", "exception": error}
            asyncio.get_running_loop().call_exception_handler(fault)
            self.refuse(call.request, call.address, INTERNAL)

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


_SENT_ADDRESSES = frozenset(row.address for row in ROWS if row.access is Access.SENT)


def _is_our_own(message: Message) -> bool:
    """Whether this is an answer, ours come back or another server's; answering it would never end."""
    return message.address in _SENT_ADDRESSES or message.address.startswith("#")


def _messages(bundle: Bundle) -> Iterator[Message]:
    """Go through the messages of a bundle and of those in it."""
    for element in bundle.elements:
        if isinstance(element, Message):
            yield element
        else:
            yield from _messages(element)
