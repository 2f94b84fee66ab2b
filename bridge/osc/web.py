"""HTTP and WebSocket on the OSC port: the OSCQuery tree, LISTEN and IGNORE, and OSC in binary frames.

The `websockets` library speaks both protocols without touching a socket; this connects it to ours. One HTTP
request is answered on each connection. Web pages of other machines are refused by Host and Origin, whatever
hosts are admitted: a browser of this machine would otherwise let them control it, and without the token.
"""

import ipaddress
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from soundlasso.bridge.osc import oscquery
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.packet import MAX_PACKET_BYTES, Message
from soundlasso.bridge.osc.transport import address_of

if TYPE_CHECKING:
    from soundlasso.bridge.osc.connection import Connection
    from soundlasso.bridge.osc.server import Server


class WebTalk:
    """HTTP and WebSocket on one connection; the framing of OSC packets in binary frames."""

    def __init__(self, server: "Server", connection: "Connection") -> None:
        self._server = server
        self.connection = connection
        self._protocol = ServerProtocol(max_size=MAX_PACKET_BYTES)
        self._fragments = bytearray()
        self._kind = Opcode.BINARY
        self._errors: list[bytes] = []

    @property
    def waiting(self) -> bool:
        """Whether a request or message has begun and not ended."""
        return self._protocol.state is State.CONNECTING or bool(self._fragments)

    def feed(self, data: bytes) -> Iterator[bytes | OscError]:
        """Take bytes as they come; answer HTTP and commands, give OSC packets."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Frame):
                yield from self._frame_received(event)
        if self._protocol.handshake_exc and not self._protocol.close_rcvd and not self._errors:
            self._errors.append(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    def frame(self, packet: bytes) -> bytes:
        """Put one packet into a binary frame."""
        if self._protocol.state is not State.OPEN:
            return b""
        self._protocol.send_binary(packet)
        return b"".join(self._protocol.data_to_send())

    def unsent(self) -> Iterator[bytes]:
        """Give what is to be written now; an empty piece ends the connection."""
        yield from self._errors
        yield from self._protocol.data_to_send()

    def tell(self, command: str, data: str) -> None:
        """Send a command of OSCQuery."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(json.dumps({"COMMAND": command, "DATA": data}).encode())
            self.connection.flush()

    def _answer(self, request: Request) -> None:
        refusal = self._refusal(request)
        if refusal:
            response = self._protocol.reject(HTTPStatus.FORBIDDEN, f"{refusal}\n")
        elif request.method != "GET":
            response = _json(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered\n")
        elif "websocket" in request.headers.get("Upgrade", "").lower():
            response = self._protocol.accept(request)
            self._server.web_talks.add(self)
        else:
            response = _json(*oscquery.answer(self._server, request.path, self.connection.local_host))
        self._protocol.send_response(response)

    def _refusal(self, request: Request) -> str:
        """Say why a request may come from a page of another machine, if it may."""
        host = request.headers.get("Host", "")
        name = _host_name(f"//{host}")
        # A number is none that a stranger's name server points to us (DNS rebinding).
        if _numeric(name) is None and not self._is_ours(name):
            return f"host {host!r} is not this machine"
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(_host_name(origin)):
            return f"origin {origin!r} is not this machine"
        return ""

    def _is_ours(self, host: str) -> bool:
        """Whether a name or number is of this machine; to be admitted is not enough."""
        if host in ("localhost", self._server.options.host):
            return True
        address = _numeric(host)
        return address is not None and (
            address.is_loopback or address == _numeric(self.connection.local_host)
        )

    def _frame_received(self, frame: Frame) -> Iterator[bytes | OscError]:
        """Put fragments together; give a whole binary message, obey a whole text message."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return  # the library answers pings and closing by itself
        if frame.opcode is not Opcode.CONT:
            self._kind = frame.opcode
        self._fragments += frame.data
        if not frame.fin:
            return
        message = bytes(self._fragments)
        self._fragments.clear()
        if self._kind is Opcode.BINARY:
            yield message
        else:
            self._obey(message)

    def _obey(self, text: bytes) -> None:
        """Carry out a command, or say what is wrong with it."""
        try:
            command = _command(text)
        except OscError as error:
            return self._server.refused(self.connection, error)
        self._server.obey(self.connection, command)


def _command(text: bytes) -> Message:
    """Read LISTEN or IGNORE, which are commands of the table too."""
    try:
        command = json.loads(text)
        name, address = command["COMMAND"], command["DATA"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise OscError("malformed", 'a text message is {"COMMAND": ..., "DATA": ...}') from None
    if name not in ("LISTEN", "IGNORE"):
        raise OscError("bad_args", f"unknown command {name!r}; known are LISTEN and IGNORE"[:200])
    # JSON can write a zero byte or half of a surrogate pair, which OSC cannot.
    if not isinstance(address, str) or not address.isprintable():
        raise OscError("bad_args", f"{name} needs an address, not {address!r}"[:200])
    return Message(f"/lasso/{name.lower()}", (address,))


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a bracket of an IPv6 address without the other
        return ""


def _numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return address_of(host)
    except ValueError:
        return None


def _json(status: int, body: str) -> Response:
    kind = "application/json" if status == HTTPStatus.OK else "text/plain"
    data = body.encode()
    headers = Headers([("Content-Type", kind), ("Content-Length", str(len(data))), ("Connection", "close")])
    return Response(status, HTTPStatus(status).phrase, headers, data)
