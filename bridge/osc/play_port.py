"""Play JACK or a sound card through the slots."""

import contextlib
import queue
from typing import TYPE_CHECKING

from soundlasso.bridge.live import LiveEngine, LiveError, calm_python
from soundlasso.bridge.osc.heard import Heard
from soundlasso.dsp.errors import SoundlassoError

if TYPE_CHECKING:
    from soundlasso.bridge.live_device import DeviceStream
    from soundlasso.bridge.live_jack import JackClient
    from soundlasso.bridge.osc.live_source import LiveSource
    from soundlasso.bridge.osc.player import Player
    from soundlasso.bridge.osc.worker import Line

LOOK_PERIOD_S = 0.05  # at commands and at the port


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
    """Play until a command without controls comes; return it.

    Raises
    ------
    SoundlassoError
        The port cannot be had or has ended, or what is asked for cannot be.
    """
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(contextlib.closing(open_port(player.source)))
        record = stack.enter_context(player.recorder(port.sample_rate, player.source.channels))
        heard = Heard(player.separator, controls, port.sample_rate, record)
        engine = stack.enter_context(LiveEngine(heard.board, port.sample_rate, player.source.channels))
        stack.callback(port.close)  # before the engine: the audio thread must not outlive it
        stack.enter_context(calm_python())
        port.play(engine)
        player.tell_state("playing", port.sample_rate, engine.latency_samples)
        return _watch(player, port, engine, heard)


def _watch(player: "Player", port: "JackClient | DeviceStream", engine: LiveEngine, heard: Heard) -> "Line":
    """Carry out commands and tell levels until something ends."""
    late = 0
    while True:
        command = _next_command(player)
        if command is not None:
            if "controls" not in command:
                return command
            _control(player, engine, heard, command)
        if port.ended.is_set():
            raise LiveError(f"the sound system ended: {port.reason}")
        if engine.error is not None:
            raise engine.error
        if engine.late_blocks > late:
            late = engine.late_blocks
            player.tell(event="late", blocks=late)
        player.tell_levels(heard)


def _next_command(player: "Player") -> "Line | None":
    try:
        return player.commands.get(timeout=LOOK_PERIOD_S)
    except queue.Empty:
        return None


def _control(player: "Player", engine: LiveEngine, heard: Heard, command: "Line") -> None:
    try:
        heard.control(command["controls"])
    except SoundlassoError as error:
        player.tell(event="refused", message=str(error))
    if engine.needed_samples > engine.latency_samples:
        message = "the chain is later than the stream has time for; stop the stream and start it again"
        player.tell(event="refused", message=message)
