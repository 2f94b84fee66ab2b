"""One command on its way: what was asked, by whom, and the answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc.clients import Peer
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import encode

if TYPE_CHECKING:
    from soundlasso.bridge.osc.row import Row

Post = Callable[[Peer, bytes], None]
MAX_ANSWER_RATIO = 4  # answers to a source that may be forged, in sizes of its packet
MAX_KEPT_BYTES = 1 << 14  # of the answers to one numbered command


@dataclass(slots=True)
class Allowance:
    """How many bytes may still be answered to one packet, whatever commands it holds; None is no limit."""

    bytes_left: int | None = None

    def spend(self, size: int) -> bool:
        """Take some bytes, if they are there."""
        if self.bytes_left is None:
            return True
        allowed = size <= self.bytes_left
        self.bytes_left -= size if allowed else 0
        return allowed


@dataclass(slots=True)
class Request:
    """The packet that commands came in: where their answers go, and what they may.

    Attributes
    ----------
    post
        Sends an answer to a peer.
    may_write
        Whether the peer may change anything.
    allowance
        How much may be answered.
    number
        The id of `/lasso/do`, repeated at the end of `/lasso/done` and `/lasso/fail`.
    is_checked
        Whether all its messages have been found to be right, and paid for.
    answers
        What was answered to a numbered command, for when it comes again.
    """

    peer: Peer
    post: Post
    may_write: bool = True
    allowance: Allowance = field(default_factory=Allowance)
    number: int | None = None
    is_checked: bool = False
    answers: list[bytes] = field(default_factory=list)

    def answer(self, address: str, *args: Any) -> None:
        """Send one message back."""
        packet = encode(address, args)
        self.keep(packet)
        self.send(packet)

    def send(self, packet: bytes) -> None:
        """Send an answer, unless it is more than the peer may have."""
        if self.allowance.spend(len(packet)):
            self.post(self.peer, packet)

    def keep(self, packet: bytes) -> None:
        """Keep an answer to a numbered command; of too many the newest, which tell what came of it."""
        if self.number is None or len(packet) > MAX_KEPT_BYTES:
            return
        self.answers.append(packet)
        while sum(map(len, self.answers)) > MAX_KEPT_BYTES:
            del self.answers[0]

    def done(self, address: str, *ids: Any) -> None:
        """Say that a command has been carried out."""
        self.answer("/lasso/done", address, *ids, *self._numbered())

    def fail(self, address: str, error: OscError, *ids: Any) -> None:
        """Say that a command has been refused, and why."""
        self.answer("/lasso/fail", address, error.code, error.message[:512], *ids, *self._numbered())

    def _numbered(self) -> Iterable[int]:
        return () if self.number is None else (self.number,)


@dataclass(frozen=True, slots=True)
class Call:
    """One command, its arguments checked.

    Attributes
    ----------
    address
        The address in full, as the answer names it.
    slot
        The number in the address, if it has one.
    args
        As the row of the table asks for; None reads the value.
    """

    row: "Row"
    address: str
    slot: int | None
    args: tuple[Any, ...] | None
    request: Request

    @property
    def given(self) -> tuple[Any, ...]:
        """The arguments of a command."""
        return self.args or ()

    def answer(self, address: str, *args: Any) -> None:
        """Send one message back."""
        self.request.answer(address, *args)

    def done(self, *ids: Any) -> None:
        """Say that the command has been carried out."""
        self.request.done(self.address, *ids)
