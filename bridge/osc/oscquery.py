"""OSCQuery: the table of addresses as JSON, for programs that build their controls from it.

Source: the OSCQuery proposal, https://github.com/Vidvox/OSCQueryProposal
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from soundlasso.bridge.osc.arguments import Arg
from soundlasso.bridge.osc.dispatch import Place
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.row import Access, Row

if TYPE_CHECKING:
    from soundlasso.bridge.osc.server import Server

Node = dict[str, Any]
ATTRIBUTES = (
    "FULL_PATH",
    "CONTENTS",
    "TYPE",
    "ACCESS",
    "VALUE",
    "RANGE",
    "DESCRIPTION",
    "UNIT",
    "CLIPMODE",
    "CRITICAL",
    "OVERLOADS",
)
EXTENSIONS = {name: True for name in ATTRIBUTES[3:]} | {
    name: True for name in ("LISTEN", "PATH_ADDED", "PATH_REMOVED")
}


def answer(server: "Server", target: str, host: str) -> tuple[int, str]:
    """Answer one HTTP request for `/path` or `/path?ATTRIBUTE`, which came to our address `host`.

    Returns
    -------
    The HTTP status and the body: 404 for an unknown path, 400 for an unknown attribute,
    204 for one that the node does not have.
    """
    path, _, attribute = target.partition("?")
    if attribute == "HOST_INFO":
        return 200, json.dumps(host_info(server, host))
    node = _descend(tree(server), unquote(path))
    if node is None:
        return 404, ""
    if not attribute:
        return 200, json.dumps(node)
    if attribute not in ATTRIBUTES:
        return 400, f"unknown attribute; known are {', '.join(ATTRIBUTES)}\n"
    return (200, json.dumps({attribute: node[attribute]})) if attribute in node else (204, "")


def host_info(server: "Server", host: str) -> Node:
    """Describe the server itself, at an address where the client has reached it."""
    assert server.port is not None
    return {
        "NAME": "soundlasso",
        "OSC_IP": host,
        "OSC_PORT": server.port.number,
        "OSC_TRANSPORT": "UDP",
        "WS_IP": host,
        "WS_PORT": server.port.number,
        "EXTENSIONS": EXTENSIONS,
    }


def tree(server: "Server") -> Node:
    """Build the whole tree, with the values of now."""
    root: Node = {"FULL_PATH": "/", "DESCRIPTION": "soundlasso", "ACCESS": 0}
    for place in server.tree.places(Access.BOTH):
        parts = place.address[1:].split("/")
        node = root
        for i, part in enumerate(parts):
            contents = node.setdefault("CONTENTS", {})
            node = contents.setdefault(part, {"FULL_PATH": "/" + "/".join(parts[: i + 1]), "ACCESS": 0})
        node.update(_described(server, place))
    return root


def _descend(root: Node, path: str) -> Node | None:
    node: Node | None = root
    for part in filter(None, path.split("/")):
        node = node.get("CONTENTS", {}).get(part) if node else None
    return node


def _described(server: "Server", place: Place) -> Node:
    """Describe one address."""
    row = place.row
    args = [arg for arg in row.args if arg.tag != "*"]
    described: Node = {
        "DESCRIPTION": row.help,
        "ACCESS": int(row.access),
        "TYPE": "I" if row.is_trigger else "".join(arg.tag for arg in args),
    }
    if args:
        described["RANGE"] = [_range(arg) for arg in args]
    if any(arg.unit for arg in args):
        described["UNIT"] = [arg.unit or None for arg in args]
    if row.is_critical:
        described["CRITICAL"] = True
    if row.key:
        described |= _valued(server, place)
    return described


def _range(arg: Arg) -> Mapping[str, Any] | None:
    if arg.choices:
        return {"VALS": list(arg.choices)}
    if arg.low is None or arg.high is None:
        return None
    return {"MIN": arg.low, "MAX": arg.high}


def _valued(server: "Server", place: Place) -> Node:
    """Describe what only an address with a value has."""
    valued: Node = {}
    try:
        valued["VALUE"] = [server.value_at(place)]
    except OscError:
        pass  # `/lasso/query` after slot 1 has been removed
    if place.row.args[0].tag == "f":
        valued["CLIPMODE"] = ["both"]
    others = _other_types(place.row)
    if others and place.row.access & Access.WRITE:
        range_ = [_range(place.row.args[0])]
        valued["OVERLOADS"] = [{"FULL_PATH": place.address, "TYPE": tag, "RANGE": range_} for tag in others]
    return valued


def _other_types(row: Row) -> str:
    """Return the types taken besides the published one; clients are strict about them."""
    arg = row.args[0]
    if arg.tag == "f":
        return "i"
    return "fTF" if arg.range_text == "0..1" else ""
