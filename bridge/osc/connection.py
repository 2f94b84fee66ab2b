"""The TCP half of the port: connections whose first byte tells what they speak.

That is SLIP, length-prefixed OSC, or HTTP and WebSocket (OSCQuery). Nothing here waits for anybody: a peer
that does not read, stops in the middle of a packet or floods is the only one to notice.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Iterator
from typing import cast

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.framing import Framing, StreamBroken, is_http, recognise
from soundlasso.bridge.osc.receiver import Receiver

MAX_CONNECTIONS = 256
MAX_UNSENT_BYTES = 1 << 20  # for one connection; one that reads no faster is closed
PARTIAL_LIMIT_S = 10.0  # for the rest of a packet that has begun
UNANSWERED_LIMIT_MS = 20_000  # for a connection whose other end is gone without a word
PACKETS_PER_TURN = 64  # of one connection, before the others get theirs


class Connection(asyncio.Protocol):
    """One TCP connection, a peer as soon as its first byte has said what it speaks."""

    is_verified = True

    def __init__(self, receiver: Receiver, others: "list[Connection]") -> None:
        self.name, self.host, self.port = "", "", 0
        self.local_host = ""  # the address of ours that it came to
        self._receiver = receiver
        self._others = others
        self._framing: Framing | None = None
        self._incoming: deque[Iterator[bytes | OscError]] = deque()
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, if its host may come in and there is room."""
        self._transport = transport = cast(asyncio.Transport, transport)
        self.host, self.port = transport.get_extra_info("peername")[:2]
        self.local_host = transport.get_extra_info("sockname")[0]
        self.name = f"tcp {self.host} {self.port}"
        self._make_room()
        if not self._receiver.admits(self.host) or len(self._others) >= MAX_CONNECTIONS:
            return transport.abort()
        self._others.append(self)
        _detect_dead_ends(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Cut bytes into packets, a few in each turn of the loop."""
        if self._framing is None:
            self._framing = self._recognised(data[0])
        if self._framing is None:
            return self.close()
        self._incoming.append(self._framing.feed(data))
        if len(self._incoming) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self in self._others:
            self._others.remove(self)
        self._forget_deadline()
        self._incoming.clear()
        self._receiver.left(self)
        self.ended.set_result(None)

    def send(self, packet: bytes) -> None:
        """Send one packet; a peer that does not read them is cut off."""
        if self._framing is not None:
            self._write(self._framing.frame(packet))

    def close(self) -> None:
        """End the connection after what has been written."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport:
            self._transport.abort()

    def _recognised(self, first_byte: int) -> Framing | None:
        framing = recognise(first_byte)
        if framing:
            return framing()
        return self._receiver.web(self) if is_http(first_byte) else None

    def _make_room(self) -> None:
        """Of too many connections, end the oldest that has never said what it speaks."""
        if len(self._others) >= MAX_CONNECTIONS:
            silent = next((c for c in self._others if c._framing is None), None)
            if silent:
                self._others.remove(silent)
                silent.abort()

    def _turn(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return self._incoming.clear()
        try:
            finished = self._take_packets()
        except StreamBroken as error:
            self._receiver.refused(self, error)
            return self.close()
        except Exception:
            self.abort()  # what has come is half read, and would be kept for ever
            raise
        finally:
            self.flush()
        if finished:
            self._transport.resume_reading()
            self._watch_rest()
        else:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._turn)

    def _take_packets(self) -> bool:
        """Take up to `PACKETS_PER_TURN`; return whether that was all."""
        for _ in range(PACKETS_PER_TURN):
            while self._incoming:
                packet = next(self._incoming[0], None)
                if packet is not None:
                    break
                self._incoming.popleft()
            else:
                return True
            self._take(packet)
        return False

    def _take(self, packet: bytes | OscError) -> None:
        self._forget_deadline()  # which was for this packet; the next one has its own
        if isinstance(packet, OscError):
            self._receiver.refused(self, packet)
        else:
            self._receiver.received(self, packet)

    def _watch_rest(self) -> None:
        """Give what has begun some seconds to end."""
        waiting = self._framing is not None and self._framing.waiting
        if not waiting:
            self._forget_deadline()
        elif not self._deadline:
            self._deadline = asyncio.get_running_loop().call_later(PARTIAL_LIMIT_S, self._too_late)

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._receiver.refused(self, OscError("timeout", f"packet unfinished after {PARTIAL_LIMIT_S:g} s"))
        self.close()

    def flush(self) -> None:
        """Write what HTTP or WebSocket has to say by itself."""
        unsent = getattr(self._framing, "unsent", None)
        for piece in unsent() if unsent else ():
            self._write(piece) if piece else self.close()

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._transport.abort()


def _detect_dead_ends(tcp_socket: socket.socket) -> None:
    tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_LIMIT_MS)
