"""Play JACK or a sound card through the slots."""

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

from soundlasso.bridge.effect import Effect
from soundlasso.bridge.live import LiveEngine, LiveError, calm_python
from soundlasso.bridge.osc.mixer import Audio, mixer_of, take_up
from soundlasso.dsp.errors import SoundlassoError

if TYPE_CHECKING:
    from soundlasso.bridge.live_device import DeviceStream
    from soundlasso.bridge.live_jack import JackClient
    from soundlasso.bridge.osc.live_source import LiveSource
    from soundlasso.bridge.osc.player import Player, Sink
    from soundlasso.bridge.osc.worker import Line
    from soundlasso.models.separator import Separator

LOOK_PERIOD_S = 0.05  # at commands and at the port


class Slots(Effect):
    """The mix of all slots as an effect of the live engine.

    Parameters
    ----------
    separator
        The model.
    controls
        What the slots ask for, as `soundlasso.bridge.osc.live.controls` gives it.
    sink
        Takes what is heard.
    """

    def __init__(self, separator: "Separator", controls: "Line", sink: "Sink") -> None:
        self._separator = separator
        self._controls = controls
        self._sink = sink
        self._lock = threading.Lock()  # the engine's worker plays while commands come; neither holds it long

    def prepare(self, sample_rate: float, channels: int, max_block: int) -> None:
        """Make the mix."""
        self.mixer = mixer_of(self._separator, sample_rate, channels, self._controls)
        self.latency_samples = self.mixer.latency_samples

    def block(self, samples: Audio) -> Audio:
        """Mix one block."""
        with self._lock:
            mixed = self.mixer.process(samples)
        self._sink(mixed)
        return mixed

    def control(self, controls: "Line") -> None:
        """Take up what the slots ask for from the next block on.

        Raises
        ------
        SoundlassoError
            When a text cannot be a query; then nothing has changed.
        """
        # A text that is new takes many times as long as a block; it is remembered.
        self._separator.embed([voice["query"] for voice in controls["voices"]] + controls["avoid"])
        with self._lock:
            take_up(self.mixer, controls)
        self._controls = controls

    def tell(self, player: "Player") -> None:
        """Have the player tell the levels."""
        with self._lock:
            player.tell_levels(self.mixer)


def open_port(source: "LiveSource") -> "JackClient | DeviceStream":
    """Open JACK or a sound card.

    Raises
    ------
    LiveError
        It is not there.
    """
    if source.kind == "jack":
        from soundlasso.bridge.live_jack import JackClient

        return JackClient(source.channels, server=source.name or None, connect_hardware=True)
    from soundlasso.bridge.live_device import DeviceStream

    name = int(source.name) if source.name.isdigit() else source.name or None
    return DeviceStream(name, source.channels)


def play_port(player: "Player", controls: "Line") -> "Line":
    """Play until a command other than `control` comes; return it.

    Raises
    ------
    SoundlassoError
        The port cannot be had or has ended, or what is asked for cannot be.
    """
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(contextlib.closing(open_port(player.source)))
        record = stack.enter_context(player.recorder(port.sample_rate, player.source.channels))
        slots = Slots(player.separator, controls, record)
        engine = stack.enter_context(LiveEngine(slots, port.sample_rate, player.source.channels))
        stack.callback(port.close)  # before the engine: the audio thread must not outlive it
        stack.enter_context(calm_python())
        port.play(engine)
        player.tell_state("playing", port.sample_rate, engine.latency_samples)
        return _watch(player, port, engine, slots)


def _watch(player: "Player", port: "JackClient | DeviceStream", engine: LiveEngine, slots: Slots) -> "Line":
    """Carry out commands and tell levels until something ends."""
    late = 0
    while True:
        command = _next_command(player)
        if command is not None and command["do"] != "control":
            return command
        if command is not None:
            _control(player, slots, command)
        if port.ended.is_set():
            raise LiveError(f"the sound system ended: {port.reason}")
        if engine.error is not None:
            raise engine.error
        if engine.late_blocks > late:
            late = engine.late_blocks
            player.tell(event="late", blocks=late)
        slots.tell(player)


def _next_command(player: "Player") -> "Line | None":
    try:
        return player.commands.get(timeout=LOOK_PERIOD_S)
    except queue.Empty:
        return None


def _control(player: "Player", slots: Slots, command: "Line") -> None:
    try:
        slots.control(command["controls"])
    except SoundlassoError as error:
        player.tell(event="refused", message=str(error))
