"""One port number for everything: UDP datagrams, and TCP connections of all kinds."""

import asyncio
import errno
import ipaddress
import socket
import sys

from soundlasso.bridge.osc.connection import Connection
from soundlasso.bridge.osc.receiver import Receiver
from soundlasso.bridge.osc.udp import UdpEndpoint
from soundlasso.dsp.errors import SoundlassoError

RECEIVE_BUFFER_BYTES = 4 << 20  # the usual 208 KiB hold only 256 small datagrams
CLOSING_LIMIT_S = 1.0
_LINUX_IP_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


class PortError(SoundlassoError, OSError):
    """The port cannot be had."""


def is_loopback(host: str) -> bool:
    """Whether a numeric address is of this machine."""
    return address_of(host).is_loopback


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read a numeric address; an IPv4 one that came through an IPv6 socket is what it was.

    Raises
    ------
    ValueError
        It is none.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


class Port:
    """The open port, both halves; made by `open_port`."""

    def __init__(
        self,
        number: int,
        udp: UdpEndpoint,
        listener: asyncio.Server,
        connections: list[Connection],
    ) -> None:
        self.number, self.udp = number, udp
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
    return Port(tcp_socket.getsockname()[1], udp, listener, connections)


async def open_udp(number: int, receiver: Receiver) -> UdpEndpoint:
    """Open one more UDP port, for this machine only.

    Raises
    ------
    PortError
        When the port is in use or not permitted.
    """
    udp_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        _prepare_udp(udp_socket)
        udp_socket.bind(("127.0.0.1", number))
    except OSError as error:
        udp_socket.close()
        raise PortError(f"cannot open UDP port {number} of this machine: {error.strerror}") from error
    _, endpoint = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: UdpEndpoint(receiver, udp_socket), sock=udp_socket
    )
    return endpoint


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
    tcp_socket.setblocking(False)
    if sys.platform != "win32":  # where it would let two programs have the same port
        tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _prepare_udp(udp_socket)


def _prepare_udp(udp_socket: socket.socket) -> None:
    udp_socket.setblocking(False)
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
