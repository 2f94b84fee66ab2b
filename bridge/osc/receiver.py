"""What the two halves of the port tell: who takes packets, and what answers HTTP."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from soundlasso.bridge.osc.clients import Peer
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.framing import Framing

if TYPE_CHECKING:
    from soundlasso.bridge.osc.connection import Connection


class Web(Framing, Protocol):
    """HTTP and WebSocket: a framing that also has something to say by itself."""

    def unsent(self) -> Iterator[bytes]:
        """Give what is to be written now; an empty piece ends the connection."""
        ...


class Receiver(Protocol):
    """Who is told what comes in."""

    def admits(self, host: str) -> bool:
        """Whether to hear this host at all."""
        ...

    def received(self, peer: Peer, packet: bytes) -> None:
        """Take one packet."""
        ...

    def refused(self, peer: Peer, error: OscError) -> None:
        """Take note of something that is no packet, or of an answer that could not be sent."""
        ...

    def unreachable(self, name: str) -> None:
        """Take note that nobody receives at the peer of this name."""
        ...

    def left(self, peer: Peer) -> None:
        """Take note that a connection has ended."""
        ...

    def web(self, connection: "Connection") -> Web:
        """Make what answers HTTP on one connection."""
        ...
