"""One row of the table of addresses, and how rows are made."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from soundlasso.bridge.osc import parameters
from soundlasso.bridge.osc.arguments import MAX_PATH_CHARS, Arg
from soundlasso.bridge.osc.clients import Topic
from soundlasso.bridge.osc.query import check_queries, check_query
from soundlasso.bridge.osc.state import MAX_SLOTS

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.server import Server

Handler = Callable[["Server", "Call"], None]
View = Literal["native", "norm", "text"]
SLOT = Arg("slot", "i", 1, MAX_SLOTS)


class Access(IntEnum):
    """What a client may do with an address, in the numbers of OSCQuery."""

    SENT = 0  # only the server sends it
    READ = 1
    WRITE = 2
    BOTH = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One address.

    Attributes
    ----------
    args
        What a command takes, or the one value of a parameter; what the server sends, for `Access.SENT`.
    handler
        Carries it out.
    key
        The parameter's name in the state.
    slot
        The slot that an address without a number stands for.
    view
        In which form an address shows its parameter.
    value
        The parameter's argument in its own unit, whatever the view.
    is_trigger
        A button: fires with no argument or one above 0.
    is_open
        Changes nothing, so everybody who may be heard may send it.
    is_critical
        Too costly to lose: clients should send it over TCP.
    topic
        Whom the server tells about it.
    """

    address: str
    args: tuple[Arg, ...]
    help: str
    access: Access
    handler: Handler | None = None
    key: str = ""
    slot: int | None = None
    view: View = "native"
    value: Arg | None = None
    topic: Topic = Topic.NOTHING
    is_trigger: bool = False
    is_open: bool = False
    is_critical: bool = False

    @property
    def tags(self) -> str:
        """The OSC type tags; those in brackets may be left out."""
        return "".join(f"[{arg.tag}]" if arg.optional else arg.tag for arg in self.args)


class Table:
    """Rows, and the addresses at which each parameter is seen."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self._views: dict[str, list[Row]] = {}
        for row in rows:
            if row.key:
                self._views.setdefault(row.key, []).append(row)

    def views(self, key: str, slot: int | None) -> Iterator[tuple[Row, str]]:
        """Go through the rows and full addresses that show one parameter."""
        for row in self._views[key]:
            if row.slot in (None, slot):
                yield row, row.address.replace("{slot}", str(slot))


def parameter(address: str, key: str, arg: Arg, text: str) -> list[Row]:
    """Make the rows of one parameter: itself and, for a float with a range, its other two views."""
    arg = replace(arg, name=address.rpartition("/")[2])
    row = Row(address, (arg,), text, Access.BOTH, parameters.access, key, value=arg, topic=Topic.PARAMETERS)
    if arg.tag != "f" or not arg.range_text:
        return [row]
    norm = replace(
        row, address=f"{address}/norm", args=(Arg("norm", "f", 0, 1),), view="norm", help=f"{text}; 0..1"
    )
    shown = replace(
        row, address=f"{address}/str", args=(Arg("str", "s"),), view="text", help=f"{text}; as text"
    )
    return [row, norm, replace(shown, access=Access.READ)]


def reading(address: str, key: str, arg: Arg, text: str) -> list[Row]:
    """Make the row of a value that only the server sets."""
    (row, *_) = parameter(address, key, arg, text)
    return [replace(row, access=Access.READ, topic=Topic.METERS)]


def command(address: str, args: Sequence[Arg], handler: Handler, text: str) -> Row:
    """Make the row of a command."""
    return Row(address, tuple(args), text, Access.WRITE, handler)


def question(address: str, args: Sequence[Arg], handler: Handler, text: str) -> Row:
    """Make the row of a command that changes nothing for anybody else."""
    return replace(command(address, args, handler, text), is_open=True)


def trigger(address: str, handler: Handler, text: str) -> Row:
    """Make the row of a button."""
    return Row(address, (), text, Access.WRITE, handler, is_trigger=True)


def sent(address: str, args: Sequence[Arg], text: str) -> Row:
    """Make the row of what only the server sends."""
    return Row(address, tuple(args), text, Access.SENT)


def optional(name: str, tag: Literal["i", "f", "s"], **limits: float) -> Arg:
    """Make an argument that may be left out."""
    return Arg(name, tag, optional=True, **limits)  # type: ignore[arg-type]


def word(name: str) -> Arg:
    """Make an argument that is one text."""
    return Arg(name, "s")


SWITCH = Arg("", "i", 0, 1)
TEXT = Arg("", "s", joins=True)
QUERY, QUERIES = replace(TEXT, check=check_query), replace(TEXT, check=check_queries)
ADDRESS = Arg("address", "s")
REST = Arg("arguments", "*")
PATH = Arg("path", "s", max_chars=MAX_PATH_CHARS, joins=True)
