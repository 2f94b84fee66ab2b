"""The table of addresses; server, OSCQuery, `/lasso/list` and tests are made from it.

A chain's parameters have rows of their own while it is there (`soundlasso.bridge.osc.chaining`).

`{rest}` at the end of an address is any number of parts, with any arguments.

`{slot}` in an address is a number from 1. It may be left out and given as the first argument instead:
`/lasso/slot/gain 2 -3` is `/lasso/slot/2/gain -3`.
"""

from dataclasses import replace

from soundlasso.bridge.osc import chaining, control, hearsay, live, presets, rendering, sessions, timeline
from soundlasso.bridge.osc.arguments import Arg
from soundlasso.bridge.osc.chain import MAX_EFFECTS
from soundlasso.bridge.osc.clients import Topic
from soundlasso.bridge.osc.row import (
    ADDRESS,
    PATH,
    QUERIES,
    QUERY,
    REST,
    SLOT,
    SWITCH,
    TEXT,
    Access,
    command,
    optional,
    parameter,
    question,
    reading,
    sent,
    trigger,
    word,
)

_SLOT_ROWS = [
    *parameter("/lasso/slot/{slot}/query", "query", QUERY, "the sound to find, in words"),
    *parameter(
        "/lasso/slot/{slot}/gain",
        "gain_db",
        Arg("", "f", -60, 12, "dB"),
        "level of the slot in the running stream; -60 is silence",
    ),
    *parameter("/lasso/slot/{slot}/enable", "enable", SWITCH, "whether the slot takes part"),
    *parameter("/lasso/slot/{slot}/mute", "mute", SWITCH, "silences the slot in the mix"),
    *parameter("/lasso/slot/{slot}/solo", "solo", SWITCH, "silences all slots without solo"),
    *parameter(
        "/lasso/slot/{slot}/mode",
        "mode",
        Arg("", "s", choices=("keep", "remove")),
        "keep the sound, or keep everything but the sound",
    ),
    *parameter(
        "/lasso/slot/{slot}/threshold",
        "threshold",
        Arg("", "f", 0, 1),
        "the presence above which the slot's gate opens; lower lets more through",
    ),
    *parameter(
        "/lasso/slot/{slot}/name",
        "name",
        TEXT,
        "what presets and sessions call the slot; if empty, its query",
    ),
    *reading(
        "/lasso/slot/{slot}/presence", "presence", Arg("", "f", 0, 1), "how surely the sound is there now"
    ),
    trigger("/lasso/slot/{slot}/remove", control.remove_slot, "forget the slot"),
]

_SETTING_ROWS = [
    *parameter("/lasso/mix", "mix", Arg("", "f", 0, 1), "0 the sound that goes in, 1 the slots"),
    *parameter("/lasso/rest", "rest", SWITCH, "also write the mixture without the stems"),
    *parameter("/lasso/gate", "gate", SWITCH, "silence a slot while its sound is not there"),
    *parameter(
        "/lasso/consistent", "consistent", SWITCH, "share the mixture out so that nothing is in two stems"
    ),
    *parameter(
        "/lasso/stereo",
        "stereo",
        Arg("", "s", choices=("linked", "independent")),
        "one mask for all channels, or one for each",
    ),
    *parameter("/lasso/avoid", "avoid", QUERIES, "sounds to keep out of all stems, with commas between"),
]

_RENDER_ROWS = [
    replace(
        *parameter("/lasso/input", "input", PATH, "the file to render, in the server's root folder"),
        handler=rendering.set_input,
    ),
    replace(
        *parameter("/lasso/output", "output", PATH, "the folder for stems; if empty, stems beside the input"),
        handler=rendering.set_output,
    ),
    *parameter(
        "/lasso/format", "format", Arg("", "s", choices=("wav", "flac", "ogg")), "how stems are written"
    ),
    *parameter(
        "/lasso/existing",
        "existing",
        Arg("", "s", choices=("refuse", "overwrite", "skip")),
        "what to do when a file is there; skip keeps what the same render made before",
    ),
    replace(
        command(
            "/lasso/render",
            [replace(PATH, joins=False, optional=True), optional("query", "s"), optional("job", "s")],
            rendering.render,
            "write stems: of one query, or of all enabled slots",
        ),
        is_critical=True,
    ),
    command(
        "/lasso/export",
        [
            Arg("kind", "s", choices=("rpp", "dawproject", "ardour")),
            Arg("job", "s", optional=True),
        ],
        sessions.export,
        "write a DAW session beside the stems of a job, or of the last one that is done",
    ),
    command(
        "/lasso/at",
        [Arg("seconds", "f", 0, 1e6, "s"), ADDRESS, REST],
        timeline.plan,
        "change a query, threshold, gate or sounds to avoid at an instant of the next render's audio",
    ),
    question("/lasso/at/list", [], timeline.list_planned, "the changes planned for the next render"),
    trigger("/lasso/at/clear", timeline.clear_planned, "forget the changes planned for the next render"),
    sent("/lasso/at/item", [Arg("seconds", "f", unit="s"), ADDRESS, REST], "one planned change"),
    sent("/lasso/at/end", [Arg("count", "i")], "after the last planned change"),
    question(
        "/lasso/job/state", [word("job")], rendering.job_state, "queued, running, done, failed or cancelled"
    ),
    question("/lasso/job/list", [], rendering.list_jobs, "the jobs, one by one, oldest first"),
    command("/lasso/job/cancel", [word("job")], rendering.cancel_job, "end a job, or all with *"),
    sent(
        "/lasso/job/progress",
        [word("job"), Arg("fraction", "f", 0, 1), Arg("left_s", "f", unit="s")],
        "how far a job is, at most ten times a second",
    ),
    sent(
        "/lasso/job/stem",
        [word("job"), SLOT, word("query"), word("path"), Arg("start_s", "f", unit="s")],
        "a file that a job has written; slot 0 is the rest",
    ),
    sent("/lasso/job/item", [word("job"), word("state"), Arg("fraction", "f", 0, 1)], "one job"),
    sent("/lasso/job/end", [Arg("count", "i")], "after the last job"),
]

_PRESET_ROWS = [
    command(
        "/lasso/preset/load",
        [word("name")],
        presets.load_preset,
        "put a preset's sounds into the slots; answered with name, slots, and what slots cannot play of it",
    ),
    command(
        "/lasso/preset/save", [word("name")], presets.save_preset, "save the enabled slots as your preset"
    ),
    question("/lasso/preset/list", [], presets.list_presets, "the presets, one by one"),
    sent("/lasso/preset/item", [word("name"), Arg("own", "i", 0, 1)], "one preset; own 1 is the user's"),
    sent("/lasso/preset/end", [Arg("count", "i")], "after the last preset"),
]

_CHAIN_ROWS = [
    question("/lasso/chain/count", [], chaining.count_effects, "how many effects the chain has"),
    question("/lasso/chain/list", [], chaining.list_effects, "the effects after the live mix, one by one"),
    command(
        "/lasso/chain/add",
        [word("effect")],
        chaining.add_effect,
        "put one of pedalboard's effects at the end of the chain; /lasso/chain/1/param/... are then its "
        "parameters",
    ),
    command(
        "/lasso/chain/remove",
        [Arg("number", "i", 1, MAX_EFFECTS)],
        chaining.remove_effect,
        "take an effect out of the chain; those after it move up",
    ),
    sent("/lasso/chain/item", [Arg("number", "i"), word("effect")], "one effect of the chain"),
    sent("/lasso/chain/end", [Arg("count", "i")], "after the last effect"),
]

_LIVE_ROWS = [
    trigger(
        "/lasso/stream/start", live.start_stream, "play what --live names through the slots, in real time"
    ),
    trigger("/lasso/stream/stop", live.stop_stream, "stop playing; a --live-record file is finished"),
    question(
        "/lasso/stream/state",
        [],
        live.stream_state,
        "stopped or playing, the latency in seconds, and how many blocks came too late",
    ),
    question("/lasso/stream/latency", [], live.stream_latency, "how late the output is, in seconds"),
    replace(
        sent(
            "/lasso/meter/slot/{slot}",
            [Arg("rms", "f", 0, 1), Arg("peak", "f", 0, 1)],
            "levels of a slot in the running stream, ten times a second",
        ),
        topic=Topic.METERS,
    ),
]

_DAW_ROWS = [
    replace(
        command("/lasso/daw/{rest}", [REST], hearsay.take_note, "what a DAW tells: kept and passed on"),
        access=Access.BOTH,
    ),
]

_CLIENT_ROWS = [
    question("/lasso/ping", [REST], control.ping, "answered with /lasso/pong and the same arguments"),
    question("/lasso/version", [], control.version, "answered with /lasso/version/reply"),
    question("/lasso/status", [], control.status, "answered with /lasso/status/reply"),
    question(
        "/lasso/sync",
        [Arg("id", "i")],
        control.sync,
        "answered with /lasso/synced when all before it is applied, and jobs are accepted",
    ),
    question(
        "/lasso/list",
        [Arg("prefix", "s", optional=True)],
        control.list_rows,
        "the rows of this table, one by one",
    ),
    question("/lasso/clients", [], control.list_clients, "the registered clients, one by one"),
    question("/lasso/slot/count", [], control.count_slots, "how many slots there are"),
    question("/lasso/slot/list", [], control.list_slots, "the slots and their queries, one by one"),
    question(
        "/lasso/notify",
        [
            SWITCH,
            optional("port", "i", low=0, high=65535),
            optional("mask", "i", low=0, high=31),
            optional("lease_s", "f", low=0, high=86400),
        ],
        control.notify,
        "register (1) for 1 parameters + 2 jobs + 4 heartbeat + 8 meters + 16 own changes, or leave (0)",
    ),
    question("/lasso/listen", [ADDRESS], control.listen, "be told about one address, its value first"),
    question("/lasso/ignore", [ADDRESS], control.ignore, "undo /lasso/listen"),
    replace(
        trigger("/lasso/refresh", control.refresh, "all values, between /lasso/update 1 and 0"), is_open=True
    ),
    question("/lasso/login", [word("token")], control.login, "allow this client to write, from another host"),
    question(
        "/lasso/do", [Arg("id", "i"), ADDRESS, REST], control.do, "run a command once, its id in the answer"
    ),
    command(
        "/lasso/dump",
        [Arg("level", "i", 0, 2)],
        control.dump,
        "log what comes in: 0 nothing, 1 text, 2 bytes",
    ),
    trigger("/lasso/clearsched", control.clear_schedule, "drop all bundles that wait for their time"),
    trigger("/lasso/quit", control.quit_server, "stop the server, if it was started with --allow-quit"),
]

_ANSWER_ROWS = [
    sent("/lasso/done", [ADDRESS, REST], "a command was carried out; the applied value or ids follow"),
    sent("/lasso/fail", [ADDRESS, word("code"), word("message"), REST], "a command was refused, and why"),
    sent("/lasso/pong", [REST], "answer to /lasso/ping"),
    sent(
        "/lasso/version/reply",
        [
            word("name"),
            Arg("major", "i"),
            Arg("minor", "i"),
            Arg("patch", "i"),
            word("model"),
            word("device"),
            Arg("protocol", "i"),
        ],
        "answer to /lasso/version",
    ),
    sent(
        "/lasso/status/reply",
        [
            word("state"),
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
    sent("/lasso/synced", [Arg("id", "i")], "answer to /lasso/sync"),
    sent(
        "/lasso/list/item",
        [ADDRESS, word("types"), Arg("access", "i"), word("range"), word("unit"), word("help")],
        "one row; access 1 read, 2 write, 3 both, 0 only sent",
    ),
    sent("/lasso/list/end", [Arg("count", "i")], "after the last row"),
    sent("/lasso/clients/item", [word("ip"), Arg("port", "i"), Arg("mask", "i")], "one client"),
    sent("/lasso/clients/end", [Arg("count", "i")], "after the last client"),
    sent("/lasso/slot/item", [SLOT, word("query")], "one slot"),
    sent("/lasso/slot/end", [Arg("count", "i")], "after the last slot"),
    sent("/lasso/update", [SWITCH], "1 before and 0 after the values of /lasso/refresh"),
    sent("/lasso/startup", [], "the server has begun; told to the clients of --notify"),
    sent("/lasso/heartbeat", [Arg("beat", "f")], "1 and 0 in turn, each second"),
    sent("/lasso/shutdown", [], "the server ends"),
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
    *_CHAIN_ROWS,
    *_LIVE_ROWS,
    *_DAW_ROWS,
    *_CLIENT_ROWS,
    *_ANSWER_ROWS,
]
