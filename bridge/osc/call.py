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


@dataclass(slots=True)
class Request:
    """The packet that commands came in: where their answers go, and what they may.

    Attributes
    ----------
    post
        Sends an answer to a peer.
    may_write
        Whether the peer may change anything.
    bytes_left
        How much may be answered; None is without limit.
    number
        The id of `/lasso/do`, repeated at the end of `/lasso/done` and `/lasso/fail`.
    answers
        What was answered.
    """

    peer: Peer
    post: Post
    may_write: bool = True
    bytes_left: int | None = None
    number: int | None = None
    answers: list[bytes] = field(default_factory=list)

    def answer(self, address: str, *args: Any) -> None:
        """Send one message back."""
        packet = encode(address, args)
        if self.bytes_left is not None:
            if len(packet) > self.bytes_left:
                return
            self.bytes_left -= len(packet)
        self.answers.append(packet)
        self.post(self.peer, packet)

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
