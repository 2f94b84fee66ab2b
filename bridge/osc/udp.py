"""The UDP half of the port: datagrams in, answers out, and the news that nobody receives them."""

import asyncio
import contextlib
import socket
import sys
from typing import Any, cast

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.receiver import Receiver

MAX_DATAGRAM_BYTES = 65507


class UdpPeer:
    """A UDP address; two of the same address are the same peer."""

    is_verified = False

    def __init__(self, endpoint: "UdpEndpoint", host: str, port: int) -> None:
        self.host, self.port = host, port
        self.name = f"udp {host} {port}"
        self._endpoint = endpoint

    def send(self, packet: bytes) -> None:
        """Send one datagram."""
        self._endpoint.send(packet, self)


class UdpEndpoint(asyncio.DatagramProtocol):
    """The UDP half of the port."""

    def __init__(self, receiver: Receiver, udp_socket: socket.socket) -> None:
        self._receiver = receiver
        self._socket = udp_socket
        self._transport: asyncio.DatagramTransport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport: it buffers what the socket cannot take at once."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the socket is closed."""
        self.ended.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Pass on a datagram from a host that is admitted."""
        if self._receiver.admits(addr[0]):
            self._receiver.received(UdpPeer(self, addr[0], addr[1]), data)

    def error_received(self, exc: Exception) -> None:
        """Find out whom an ICMP "port unreachable" was about."""
        self._read_errors()

    def send(self, packet: bytes, peer: UdpPeer) -> None:
        """Send one datagram; an error about an earlier one, to somebody else, does not lose this one."""
        if len(packet) > MAX_DATAGRAM_BYTES:
            reason = f"answer of {len(packet)} bytes does not fit into a datagram; use TCP"
            return self._receiver.refused(peer, OscError("too_large", reason))
        for _ in range(3):
            try:
                self._socket.sendto(packet, (peer.host, peer.port))
                return None
            except ConnectionRefusedError:
                self._read_errors()
            except BlockingIOError:
                break
            except OSError:  # no route, network down: as lost as a datagram may always be
                return self._receiver.unreachable(peer.name)
        if self._transport and not self._transport.is_closing():
            self._transport.sendto(packet, (peer.host, peer.port))

    def close(self) -> None:
        """Send what waits and close the socket."""
        if self._transport:
            self._transport.close()

    def _read_errors(self) -> None:
        """Read the socket's error queue, which says which datagram was not received (Linux only)."""
        if sys.platform != "linux":
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                _, _, _, address = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
                self._receiver.unreachable(f"udp {address[0]} {address[1]}")
