"""The table of addresses; server, OSCQuery, `/lasso/list` and tests are made from it.

`{slot}` in an address is a number from 1. It may be left out and given as the first argument instead:
`/lasso/slot/gain 2 -3` is `/lasso/slot/2/gain -3`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from soundlasso.bridge.osc import control, live, parameters, presets, rendering, sessions
from soundlasso.bridge.osc.arguments import MAX_PATH_CHARS, Arg
from soundlasso.bridge.osc.clients import Topic
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
    topic: Topic = Topic.NOTHING
    is_trigger: bool = False
    is_open: bool = False
    is_critical: bool = False

    @property
    def tags(self) -> str:
        """The OSC type tags; those in brackets may be left out."""
        return "".join(f"[{arg.tag}]" if arg.optional else arg.tag for arg in self.args)

    @property
    def value(self) -> Arg:
        """The value of a parameter, in its own unit."""
        return PARAMETER_ARGS[self.key]


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


def _parameter(address: str, key: str, arg: Arg, text: str) -> list[Row]:
    """Make the rows of one parameter: itself and, for a float with a range, its other two views."""
    arg = replace(arg, name=address.rpartition("/")[2])
    PARAMETER_ARGS[key] = arg
    row = Row(address, (arg,), text, Access.BOTH, parameters.access, key, topic=Topic.PARAMETERS)
    if arg.tag != "f" or not arg.range_text:
        return [row]
    norm = replace(
        row, address=f"{address}/norm", args=(Arg("norm", "f", 0, 1),), view="norm", help=f"{text}; 0..1"
    )
    shown = replace(
        row, address=f"{address}/str", args=(Arg("str", "s"),), view="text", help=f"{text}; as text"
    )
    return [row, norm, replace(shown, access=Access.READ)]


def _reading(address: str, key: str, arg: Arg, text: str) -> list[Row]:
    """Make the row of a value that only the server sets."""
    (row, *_) = _parameter(address, key, arg, text)
    return [replace(row, access=Access.READ, topic=Topic.METERS)]


def _command(address: str, args: Sequence[Arg], handler: Handler, text: str) -> Row:
    return Row(address, tuple(args), text, Access.WRITE, handler)


def _question(address: str, args: Sequence[Arg], handler: Handler, text: str) -> Row:
    """Make the row of a command that changes nothing for anybody else."""
    return replace(_command(address, args, handler, text), is_open=True)


def _trigger(address: str, handler: Handler, text: str) -> Row:
    return Row(address, (), text, Access.WRITE, handler, is_trigger=True)


def _sent(address: str, args: Sequence[Arg], text: str) -> Row:
    return Row(address, tuple(args), text, Access.SENT)


def _optional(name: str, tag: Literal["i", "f", "s"], **limits: float) -> Arg:
    return Arg(name, tag, optional=True, **limits)  # type: ignore[arg-type]


def _text(name: str) -> Arg:
    return Arg(name, "s")


SWITCH = Arg("", "i", 0, 1)
TEXT = Arg("", "s", joins=True)
ADDRESS = Arg("address", "s")
REST = Arg("arguments", "*")
PATH = Arg("path", "s", max_chars=MAX_PATH_CHARS, joins=True)
PARAMETER_ARGS: dict[str, Arg] = {}

_SLOT_ROWS = [
    *_parameter("/lasso/slot/{slot}/query", "query", TEXT, "the sound to find, in words"),
    *_parameter(
        "/lasso/slot/{slot}/gain",
        "gain_db",
        Arg("", "f", -60, 12, "dB"),
        "level of the slot in the running stream; -60 is silence",
    ),
    *_parameter("/lasso/slot/{slot}/enable", "enable", SWITCH, "whether the slot takes part"),
    *_parameter("/lasso/slot/{slot}/mute", "mute", SWITCH, "silences the slot in the mix"),
    *_parameter("/lasso/slot/{slot}/solo", "solo", SWITCH, "silences all slots without solo"),
    *_parameter(
        "/lasso/slot/{slot}/mode",
        "mode",
        Arg("", "s", choices=("keep", "remove")),
        "keep the sound, or keep everything but the sound",
    ),
    *_parameter(
        "/lasso/slot/{slot}/threshold",
        "threshold",
        Arg("", "f", 0, 1),
        "the presence above which the slot's gate opens; lower lets more through",
    ),
    *_parameter(
        "/lasso/slot/{slot}/name",
        "name",
        TEXT,
        "what presets and sessions call the slot; if empty, its query",
    ),
    *_reading(
        "/lasso/slot/{slot}/presence", "presence", Arg("", "f", 0, 1), "how surely the sound is there now"
    ),
    _trigger("/lasso/slot/{slot}/remove", control.remove_slot, "forget the slot"),
]

_SETTING_ROWS = [
    *_parameter("/lasso/mix", "mix", Arg("", "f", 0, 1), "0 the sound that goes in, 1 the slots"),
    *_parameter("/lasso/rest", "rest", SWITCH, "also write the mixture without the stems"),
    *_parameter("/lasso/gate", "gate", SWITCH, "silence a slot while its sound is not there"),
    *_parameter(
        "/lasso/consistent", "consistent", SWITCH, "share the mixture out so that nothing is in two stems"
    ),
    *_parameter(
        "/lasso/stereo",
        "stereo",
        Arg("", "s", choices=("linked", "independent")),
        "one mask for all channels, or one for each",
    ),
    *_parameter("/lasso/avoid", "avoid", TEXT, "sounds to keep out of all stems, with commas between"),
]

_RENDER_ROWS = [
    replace(
        *_parameter("/lasso/input", "input", PATH, "the file to render, in the server's root folder"),
        handler=rendering.set_input,
    ),
    replace(
        *_parameter(
            "/lasso/output", "output", PATH, "the folder for stems; if empty, stems beside the input"
        ),
        handler=rendering.set_output,
    ),
    *_parameter(
        "/lasso/format", "format", Arg("", "s", choices=("wav", "flac", "ogg")), "how stems are written"
    ),
    *_parameter(
        "/lasso/existing",
        "existing",
        Arg("", "s", choices=("refuse", "overwrite", "skip")),
        "what to do when a file is there; skip keeps what the same render made before",
    ),
    replace(
        _command(
            "/lasso/render",
            [replace(PATH, joins=False, optional=True), _optional("query", "s"), _optional("job", "s")],
            rendering.render,
            "write stems: of one query, or of all enabled slots",
        ),
        is_critical=True,
    ),
    _command(
        "/lasso/export",
        [
            Arg("kind", "s", choices=("rpp", "dawproject", "ardour")),
            Arg("job", "s", optional=True),
        ],
        sessions.export,
        "write a DAW session beside the stems of a job, or of the last one that is done",
    ),
    _question(
        "/lasso/job/state", [_text("job")], rendering.job_state, "queued, running, done, failed or cancelled"
    ),
    _question("/lasso/job/list", [], rendering.list_jobs, "the jobs, one by one, oldest first"),
    _command("/lasso/job/cancel", [_text("job")], rendering.cancel_job, "end a job, or all with *"),
    _sent(
        "/lasso/job/progress",
        [_text("job"), Arg("fraction", "f", 0, 1), Arg("left_s", "f", unit="s")],
        "how far a job is, at most ten times a second",
    ),
    _sent(
        "/lasso/job/stem",
        [_text("job"), SLOT, _text("query"), _text("path"), Arg("start_s", "f", unit="s")],
        "a file that a job has written; slot 0 is the rest",
    ),
    _sent("/lasso/job/item", [_text("job"), _text("state"), Arg("fraction", "f", 0, 1)], "one job"),
    _sent("/lasso/job/end", [Arg("count", "i")], "after the last job"),
]

_PRESET_ROWS = [
    _command(
        "/lasso/preset/load",
        [_text("name")],
        presets.load_preset,
        "put a preset's sounds into the slots; answered with name, slots, and what slots cannot play of it",
    ),
    _command(
        "/lasso/preset/save", [_text("name")], presets.save_preset, "save the enabled slots as your preset"
    ),
    _question("/lasso/preset/list", [], presets.list_presets, "the presets, one by one"),
    _sent("/lasso/preset/item", [_text("name"), Arg("own", "i", 0, 1)], "one preset; own 1 is the user's"),
    _sent("/lasso/preset/end", [Arg("count", "i")], "after the last preset"),
]

_LIVE_ROWS = [
    _trigger(
        "/lasso/stream/start", live.start_stream, "play what --live names through the slots, in real time"
    ),
    _trigger("/lasso/stream/stop", live.stop_stream, "stop playing; a --live-record file is finished"),
    _question(
        "/lasso/stream/state",
        [],
        live.stream_state,
        "stopped or playing, the latency in seconds, and how many blocks came too late",
    ),
    _question("/lasso/stream/latency", [], live.stream_latency, "how late the output is, in seconds"),
    replace(
        _sent(
            "/lasso/meter/slot/{slot}",
            [Arg("rms", "f", 0, 1), Arg("peak", "f", 0, 1)],
            "levels of a slot in the running stream, ten times a second",
        ),
        topic=Topic.METERS,
    ),
]

_CLIENT_ROWS = [
    _question("/lasso/ping", [REST], control.ping, "answered with /lasso/pong and the same arguments"),
    _question("/lasso/version", [], control.version, "answered with /lasso/version/reply"),
    _question("/lasso/status", [], control.status, "answered with /lasso/status/reply"),
    _question(
        "/lasso/sync",
        [Arg("id", "i")],
        control.sync,
        "answered with /lasso/synced when all before it is applied, and jobs are accepted",
    ),
    _question(
        "/lasso/list",
        [Arg("prefix", "s", optional=True)],
        control.list_rows,
        "the rows of this table, one by one",
    ),
    _question("/lasso/clients", [], control.list_clients, "the registered clients, one by one"),
    _question("/lasso/slot/count", [], control.count_slots, "how many slots there are"),
    _question("/lasso/slot/list", [], control.list_slots, "the slots and their queries, one by one"),
    _question(
        "/lasso/notify",
        [
            SWITCH,
            _optional("port", "i", low=0, high=65535),
            _optional("mask", "i", low=0, high=31),
            _optional("lease_s", "f", low=0, high=86400),
        ],
        control.notify,
        "register (1) for 1 parameters + 2 jobs + 4 heartbeat + 8 meters + 16 own changes, or leave (0)",
    ),
    _question("/lasso/listen", [ADDRESS], control.listen, "be told about one address, its value first"),
    _question("/lasso/ignore", [ADDRESS], control.ignore, "undo /lasso/listen"),
    replace(
        _trigger("/lasso/refresh", control.refresh, "all values, between /lasso/update 1 and 0"), is_open=True
    ),
    _question(
        "/lasso/login", [_text("token")], control.login, "allow this client to write, from another host"
    ),
    _question(
        "/lasso/do", [Arg("id", "i"), ADDRESS, REST], control.do, "run a command once, its id in the answer"
    ),
    _command(
        "/lasso/dump",
        [Arg("level", "i", 0, 2)],
        control.dump,
        "log what comes in: 0 nothing, 1 text, 2 bytes",
    ),
    _trigger("/lasso/clearsched", control.clear_schedule, "drop all bundles that wait for their time"),
    _trigger("/lasso/quit", control.quit_server, "stop the server, if it was started with --allow-quit"),
]

_ANSWER_ROWS = [
    _sent("/lasso/done", [ADDRESS, REST], "a command was carried out; the applied value or ids follow"),
    _sent("/lasso/fail", [ADDRESS, _text("code"), _text("message"), REST], "a command was refused, and why"),
    _sent("/lasso/pong", [REST], "answer to /lasso/ping"),
    _sent(
        "/lasso/version/reply",
        [
            _text("name"),
            Arg("major", "i"),
            Arg("minor", "i"),
            Arg("patch", "i"),
            _text("model"),
            _text("device"),
            Arg("protocol", "i"),
        ],
        "answer to /lasso/version",
    ),
    _sent(
        "/lasso/status/reply",
        [
            _text("state"),
            Arg("queued", "i"),
            Arg("running", "i"),
            Arg("progress", "f"),
            Arg("speed", "f"),
            Arg("clients", "i"),
            Arg("errors", "i"),
            Arg("dropped", "i"),
            Arg("sample_rate", "f", unit="Hz"),
            Arg("latency_s", "f", unit="s"),
        ],
        "answer to /lasso/status; rate and latency are the running stream's, 0 without one",
    ),
    _sent("/lasso/synced", [Arg("id", "i")], "answer to /lasso/sync"),
    _sent(
        "/lasso/list/item",
        [ADDRESS, _text("types"), Arg("access", "i"), _text("range"), _text("unit"), _text("help")],
        "one row; access 1 read, 2 write, 3 both, 0 only sent",
    ),
    _sent("/lasso/list/end", [Arg("count", "i")], "after the last row"),
    _sent("/lasso/clients/item", [_text("ip"), Arg("port", "i"), Arg("mask", "i")], "one client"),
    _sent("/lasso/clients/end", [Arg("count", "i")], "after the last client"),
    _sent("/lasso/slot/item", [SLOT, _text("query")], "one slot"),
    _sent("/lasso/slot/end", [Arg("count", "i")], "after the last slot"),
    _sent("/lasso/update", [SWITCH], "1 before and 0 after the values of /lasso/refresh"),
    _sent("/lasso/heartbeat", [Arg("beat", "f")], "1 and 0 in turn, each second"),
    _sent("/lasso/shutdown", [], "the server ends"),
]

# The address that users try first: the query of slot 1; and another name of the rest.
_SHORT_ROWS = [
    *(replace(row, address="/lasso/query", slot=1) for row in _SLOT_ROWS if row.address.endswith("/query")),
    *(replace(row, address="/lasso/residual") for row in _SETTING_ROWS if row.address == "/lasso/rest"),
]

ROWS = [
    *_SHORT_ROWS,
    *_SLOT_ROWS,
    *_SETTING_ROWS,
    *_RENDER_ROWS,
    *_PRESET_ROWS,
    *_LIVE_ROWS,
    *_CLIENT_ROWS,
    *_ANSWER_ROWS,
]
TABLE = Table(ROWS)
