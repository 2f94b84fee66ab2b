"""Live slots: what clients move goes to the player process, what it hears comes back as values."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.osc import parameters
from soundlasso.bridge.osc.clients import Topic
from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.process import SILENCE_LIMIT_S, Ending, Line, WorkerProcess
from soundlasso.bridge.osc.state import Slot, State

if TYPE_CHECKING:
    from soundlasso.bridge.osc.call import Call
    from soundlasso.bridge.osc.options import Options
    from soundlasso.bridge.osc.server import Server

SILENT_DB = -60.0  # the lowest gain is silence
CONTROL_PERIOD_S = 0.01  # two for each glide of a gain; more would only keep the player from playing


class Live:
    """The player of one server.

    Parameters
    ----------
    server
        Whose slots are played, and whose clients are told.
    """

    def __init__(self, server: "Server") -> None:
        self.state = "stopped"
        self.latency_s = 0.0
        self.sample_rate = 0.0
        self.late_blocks = 0
        self._server = server
        self._wanted = False
        self._is_changed = False
        self._metered: set[int] = set()  # slots whose levels were told last
        command = player_command(server.options)
        self.process = WorkerProcess(command, self._on_line, self._on_end, SILENCE_LIMIT_S)

    def play(self) -> None:
        """Start playing, as soon as the model is loaded."""
        self._wanted = True
        self.process.start()
        if self.process.is_ready:
            self._send("start")

    def stop(self) -> None:
        """Stop playing."""
        self._wanted = False
        self.process.send({"do": "stop"})

    def changed(self) -> None:
        """Pass on what has changed, soon, and once for all that changes until then."""
        if self._wanted and not self._is_changed:
            self._is_changed = True
            asyncio.get_running_loop().call_later(CONTROL_PERIOD_S, self._control)

    def facts(self) -> list[Any]:
        """Return what `/lasso/stream/state` tells."""
        return [self.state, self.latency_s, self.late_blocks]

    @property
    def rate_and_latency(self) -> tuple[float, float]:
        """The running stream's sample rate in Hz, and how late its output is, in seconds; 0 while stopped."""
        return self.sample_rate, self.latency_s

    def _control(self) -> None:
        self._is_changed = False
        if self.process.is_ready:
            self._send("control")

    def _send(self, command: str) -> None:
        self.process.send({"do": command, "controls": controls(self._server.state)})

    def _on_line(self, line: Line) -> None:
        server = self._server
        if line["event"] == "ready" and self._wanted:
            self._send("start")
        elif line["event"] == "state":
            self.state = line["state"]
            self.sample_rate, self.latency_s = line["sample_rate"], line["latency_s"]
            self.late_blocks = 0
            server.publish("/lasso/stream/state", self.facts(), Topic.PARAMETERS)
        elif line["event"] == "refused":
            server.publish(
                "/lasso/fail", ["/lasso/stream", "bad_args", line["message"][:512]], Topic.PARAMETERS
            )
        elif line["event"] == "late":
            self.late_blocks = line["blocks"]
        elif line["event"] == "levels":
            self._take_levels(line["slots"])

    def _take_levels(self, slots: list[Any]) -> None:
        """Tell the levels of slots, and of one that takes part no more that it is silent."""
        silent = self._metered - {number for number, *_ in slots}
        self._metered = {number for number, *_ in slots}
        for number, rms, peak, presence in [*slots, *((number, 0.0, 0.0, 0.0) for number in silent)]:
            slot = self._server.state.slots.get(number)
            if slot is not None:
                self._server.publish(f"/lasso/meter/slot/{number}", [rms, peak], Topic.METERS)
                slot.presence = presence
                parameters.tell(self._server, "presence", number)

    def _on_end(self, ending: Ending, reason: str) -> None:
        self.state, self.sample_rate, self.latency_s = "stopped", 0.0, 0.0
        message = f"the player has ended: {reason}; it is replaced"
        self._server.publish("/lasso/fail", ["/lasso/stream", ending, message], Topic.PARAMETERS)


def player_command(options: "Options") -> list[str]:
    """Return what starts a player."""
    command = [sys.executable, "-m", "soundlasso.bridge.osc.player", "--model", options.model]
    assert options.live is not None
    command += [
        "--device",
        options.device,
        "--source",
        options.live,
        "--channels",
        str(options.live_channels),
    ]
    return command + (["--record", str(options.live_record)] if options.live_record else [])


def controls(state: State) -> dict[str, Any]:
    """Return all that the player needs to know."""
    settings = state.settings
    any_solo = any(slot.solo for _, slot in state.enabled())
    return {
        "voices": [
            {
                "slot": number,
                "query": slot.query,
                "gain": _gain(slot, any_solo),
                "is_removal": slot.mode == "remove",
                "threshold": slot.threshold,
            }
            for number, slot in state.enabled()
        ],
        "chain": {
            "links": [link.to_dict() for link in state.chain.links],
            "values": state.chain.values(),
        },
        "mix": settings.mix,
        "stereo": settings.stereo,
        "gate": bool(settings.gate),
        "consistent": bool(settings.consistent),
        "avoid": settings.avoided(),
    }


def _gain(slot: Slot, any_solo: bool) -> float:
    """Return the factor of a slot; whatever silences it is 0."""
    is_heard = not slot.mute and (slot.solo or not any_solo)
    return 10 ** (slot.gain_db / 20) if is_heard and slot.gain_db > SILENT_DB else 0.0


# The commands


def start_stream(server: "Server", call: "Call") -> None:
    """Play what --live names through the slots."""
    live = _live(server)
    if not server.state.enabled():
        raise OscError("no_input", "no enabled slot has a query; set /lasso/query first")
    live.play()
    call.done()


def stop_stream(server: "Server", call: "Call") -> None:
    """Stop playing."""
    _live(server).stop()
    call.done()


def stream_state(server: "Server", call: "Call") -> None:
    """Answer with what the player does and how late the output is."""
    live = _live(server)
    call.answer(call.address, *live.facts())


def stream_latency(server: "Server", call: "Call") -> None:
    """Answer with how late the output is."""
    call.answer(call.address, _live(server).latency_s)


def _live(server: "Server") -> Live:
    if server.live is None:
        raise OscError("no_input", "the server was not started with --live")
    return server.live
