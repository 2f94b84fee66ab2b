"""One port number for everything: UDP datagrams, and TCP connections whose first byte tells what they are.

A TCP connection may be SLIP, length-prefixed OSC, or HTTP and WebSocket (OSCQuery). Nothing here waits for
anybody: a peer that does not read, stops in the middle of a packet or floods is the only one to notice.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol, cast

from soundlasso.bridge.osc.clients import Peer
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.framing import Framing, StreamBroken, is_http, recognise
from soundlasso.dsp.errors import SoundlassoError

MAX_DATAGRAM_BYTES = 65507
RECEIVE_BUFFER_BYTES = 4 << 20  # the usual 208 KiB hold only 256 small datagrams
MAX_CONNECTIONS = 256
MAX_UNSENT_BYTES = 1 << 20  # for one connection; one that reads no faster is closed
PARTIAL_LIMIT_S = 10.0  # for the rest of a packet that has begun
UNANSWERED_LIMIT_MS = 20_000  # for a connection whose other end is gone without a word
CLOSING_LIMIT_S = 1.0
PACKETS_PER_TURN = 64  # of one connection, before the others get theirs
_LINUX_IP_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


class PortError(SoundlassoError, OSError):
    """The port cannot be had."""


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


def is_loopback(host: str) -> bool:
    """Whether a numeric address is of this machine."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


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


class Connection(asyncio.Protocol):
    """One TCP connection, a peer as soon as its first byte has said what it speaks."""

    is_verified = True

    def __init__(self, receiver: Receiver, others: "list[Connection]") -> None:
        self.name, self.host, self.port = "", "", 0
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
        if self._deadline:
            self._deadline.cancel()
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
        if isinstance(packet, OscError):
            self._receiver.refused(self, packet)
        else:
            self._receiver.received(self, packet)

    def _watch_rest(self) -> None:
        """Give what has begun some seconds to end."""
        waiting = self._framing is not None and self._framing.waiting
        if self._deadline and not waiting:
            self._deadline.cancel()
            self._deadline = None
        elif waiting and not self._deadline:
            self._deadline = asyncio.get_running_loop().call_later(PARTIAL_LIMIT_S, self._too_late)

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


class Port:
    """The open port, both halves; made by `open_port`."""

    def __init__(
        self,
        host: str,
        number: int,
        udp: UdpEndpoint,
        listener: asyncio.Server,
        connections: list[Connection],
    ) -> None:
        self.host, self.number, self.udp = host, number, udp
        self._listener = listener
        self._connections = connections

    async def close(self) -> None:
        """Stop listening, and end all connections when they have been sent what waits, or after a second."""
        # asyncio trips over a connection that it is accepting while the listener closes; let it finish.
        for _ in range(3):
            await asyncio.sleep(0)
        self._listener.close()
        self.udp.close()
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        ends = [connection.ended for connection in connections]
        if ends:
            await asyncio.wait(ends, timeout=CLOSING_LIMIT_S)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*ends, self.udp.ended)


async def open_port(host: str, number: int, receiver: Receiver) -> Port:
    """Open UDP and TCP on the same port number.

    Parameters
    ----------
    host
        A name or address of this machine.
    number
        The port, or 0 for any that is free for both.

    Raises
    ------
    PortError
        When the port is in use or not permitted, or the host is not of this machine.
    """
    tcp_socket, udp_socket = _bound_sockets(host, number)
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    _, udp = await loop.create_datagram_endpoint(lambda: UdpEndpoint(receiver, udp_socket), sock=udp_socket)
    listener = await loop.create_server(
        lambda: Connection(receiver, connections), sock=tcp_socket, backlog=128
    )
    bound_host, bound_number = tcp_socket.getsockname()[:2]
    return Port(bound_host, bound_number, udp, listener, connections)


def _bound_sockets(host: str, number: int) -> tuple[socket.socket, socket.socket]:
    """Bind both sockets; with port 0, try again until one number is free for both."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise PortError(f"no host {host!r}: {error.strerror}") from None
    for attempt in range(20):
        tcp_socket = socket.socket(family, socket.SOCK_STREAM)
        udp_socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            _prepare(tcp_socket, udp_socket)
            tcp_socket.bind(address)
            udp_socket.bind(tcp_socket.getsockname())
            return tcp_socket, udp_socket
        except OSError as error:
            tcp_socket.close()
            udp_socket.close()
            if number or attempt == 19:
                raise PortError(_bind_trouble(host, number, error)) from error
    raise AssertionError("unreachable")


def _prepare(tcp_socket: socket.socket, udp_socket: socket.socket) -> None:
    for half in (tcp_socket, udp_socket):
        half.setblocking(False)
    if sys.platform != "win32":  # where it would let two programs have the same port
        tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    if sys.platform == "linux":
        udp_socket.setsockopt(*_LINUX_IP_RECVERR[udp_socket.family], 1)


def _bind_trouble(host: str, number: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {number} of {host} is in use, perhaps by another soundlasso; stop that program,"
            " choose another port with --port, or let the system choose with --port 0"
        )
    return f"cannot open port {number} of {host}: {error.strerror}"
