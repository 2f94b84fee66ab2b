"""`soundlasso live`: name sounds and hear them, or the rest, a moment later."""

import contextlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias

import typer

from soundlasso.bridge.commands.render_run import USAGE, complain
from soundlasso.bridge.commands.shared_options import Avoid, Gate, GateThreshold
from soundlasso.dsp.errors import SoundlassoError
from soundlasso.dsp.gate import USUAL_THRESHOLD

if TYPE_CHECKING:
    import threading

    from soundlasso.bridge.board import Board
    from soundlasso.bridge.container import Item
    from soundlasso.bridge.live import LiveEngine
    from soundlasso.bridge.separate import Separate
    from soundlasso.bridge.stems import Stems

    Heard: TypeAlias = Separate | Stems | Board  # a board is a preset's

Keep: TypeAlias = Literal["stem", "rest"]  # as models.stream has it, without loading torch
Stereo: TypeAlias = Literal["linked", "independent"]  # as models.separator has it
STATUS_INTERVAL_S = 0.25
METER_WIDTH = 10
# Parameters that a preset decides, as options.
_OF_PRESET = {
    "keep": "--keep",
    "avoid": "--avoid",
    "mix": "--mix",
    "gain_db": "--gain",
    "model": "--model",
    "stereo": "--stereo",
    "gate": "--gate",
    "gate_threshold": "--gate-threshold",
}


class Port(Protocol):
    """A sound system, in and out: JACK, or a device."""

    xruns: int
    ended: "threading.Event"
    reason: str

    @property
    def sample_rate(self) -> float:
        """In Hz."""
        ...

    def close(self) -> None:
        """Leave it."""
        ...

    def play(self, engine: "LiveEngine") -> None:
        """Begin to play."""
        ...


def live(
    context: typer.Context,
    query: Annotated[
        list[str] | None,
        typer.Option("--query", "-q", help="A sound, in words; may be repeated.", show_default=False),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", "-p", metavar="NAME|FILE", help="Play a preset's mix instead.", show_default=False
        ),
    ] = None,
    keep: Annotated[Keep, typer.Option(help="stem: what was named; rest: all but that.")] = "stem",
    avoid: Avoid = None,
    mix: Annotated[float, typer.Option(min=0, max=1, help="0 all dry, 1 separated.")] = 1.0,
    gain_db: Annotated[float, typer.Option("--gain", max=60, help="Gain of the output in dB.")] = 0.0,
    model: Annotated[str, typer.Option(help="Model that separates.")] = "lariat",
    stereo: Annotated[Stereo, typer.Option(help="One mask for all channels, or one each.")] = "linked",
    gate: Gate = True,
    gate_threshold: GateThreshold = USUAL_THRESHOLD,
    jack: Annotated[bool, typer.Option("--jack", help="Play through JACK or PipeWire.")] = False,
    server: Annotated[str | None, typer.Option(help="Name of the JACK server.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Sound card, by name or number.", show_default="the system's usual one")
    ] = None,
    channels: Annotated[int, typer.Option(min=1, max=64, help="Channels, in and out.")] = 2,
    latency: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            help="From input to output, in milliseconds.",
            show_default="what the model takes, and four hops",
        ),
    ] = None,
    hop: Annotated[
        int, typer.Option(min=1, help="Samples taken at a time; fewer are sooner, for more work.")
    ] = 1024,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
) -> None:
    """Separate live audio: hear what you name, or the rest, through JACK or a sound card.

    Ctrl-C ends it. What the machine does not finish in time is played dry, in place, and counted.
    """
    import torch

    from soundlasso.bridge.live import LiveEngine, calm_python

    torch.set_num_threads(1)  # a second thread would wait for the audio thread's processor
    try:
        check_asked(context, query, preset)
        effect: Heard = load_board(preset) if preset is not None else make_effect(
            query or [], keep=keep, mix=mix, gain_db=gain_db,
            avoid=avoid or [], model=model, stereo=stereo, gate=gate, gate_threshold=gate_threshold,
        )  # fmt: skip
    except SoundlassoError as error:
        complain(error)
        raise typer.Exit(USAGE) from error
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(contextlib.closing(open_port(jack, server, device, channels)))
        wanted = None if latency is None else round(latency / 1000 * port.sample_rate)
        engine = stack.enter_context(
            LiveEngine(effect, port.sample_rate, channels, latency_samples=wanted, hop_samples=hop)
        )
        stack.enter_context(calm_python())
        port.play(engine)
        typer.echo(f"playing at {port.sample_rate:g} Hz; Ctrl-C ends it", err=True)
        watch(port, engine, effect, seconds)


def check_asked(context: typer.Context, query: list[str] | None, preset: str | None) -> None:
    """Refuse options that lack something, or do not go together."""
    if preset is None:
        if not query:
            raise SoundlassoError("missing option '--query' or '--preset'; name a sound, or what to play")
        return
    if query:
        raise SoundlassoError(
            "--query and --preset exclude each other; add the sound to a copy of the preset"
        )
    for parameter, option in _OF_PRESET.items():
        source = context.get_parameter_source(parameter)
        if source is not None and source.name == "COMMANDLINE":
            raise SoundlassoError(
                f"{option} goes with --query; a preset decides it itself, so change it in a copy: "
                f"soundlasso presets new NAME --from {preset}"
            )


def load_board(preset: str) -> "Board":
    """Return a preset as an effect.

    Raises
    ------
    PresetError, PluginError
        There is no such preset, or something in it cannot be.
    """
    from soundlasso.bridge.presets.library import load_preset

    return load_preset(preset).board()


def make_effect(
    queries: list[str], *, keep: Keep, mix: float, gain_db: float, **settings: Any
) -> "Separate | Stems":
    """Return one sound as a `Separate`, several as `Stems`; both take the other settings as they are.

    Raises
    ------
    QueryError, ValueError
        A query or setting that cannot be.
    """
    from soundlasso.bridge.separate import Separate
    from soundlasso.bridge.stems import REST, Stems

    if len(queries) == 1:
        return Separate(queries[0], keep=keep, mix=mix, gain_db=gain_db, **settings)
    gain = 10 ** (gain_db / 20)  # the dry signal is named and rest, so only what is not kept turns down
    named, rest = (gain, gain * (1 - mix)) if keep == "stem" else (gain * (1 - mix), gain)
    return Stems({**{name: fader(named) for name in queries}, REST: fader(rest)}, **settings)


def fader(level: float) -> "list[Item]":
    """Return a chain that does nothing but this."""
    from pedalboard import Gain

    from soundlasso.bridge.mix import Mix

    if level == 0:
        return [Mix()]  # a mix of nothing
    return [] if level == 1 else [Gain(20 * math.log10(level))]


def open_port(jack: bool, server: str | None, device: str | None, channels: int) -> Port:
    """Open JACK, or the sound card.

    Raises
    ------
    LiveError
        It is not there.
    """
    if jack:
        from soundlasso.bridge.live_jack import JackClient

        return JackClient(channels, server=server, connect_hardware=True)
    from soundlasso.bridge.live_device import DeviceStream

    number = int(device) if device is not None and device.isdigit() else device
    return DeviceStream(number, channels)


def watch(port: Port, engine: "LiveEngine", effect: "Heard", seconds: float | None) -> None:
    """Show the status until the time is over or something ends; Ctrl-C goes through.

    Raises
    ------
    LiveError, SoundlassoError
        The sound system or the effect ended by itself.
    """
    from rich.live import Live
    from rich.text import Text

    from soundlasso.bridge.live import LiveError

    def line() -> Text:
        return Text(status(port, engine, effect))  # in a plain string, [brackets] would be markup

    with Live(refresh_per_second=1 / STATUS_INTERVAL_S, get_renderable=line):
        while seconds is None or engine.seconds < seconds:
            if port.ended.wait(STATUS_INTERVAL_S):
                raise LiveError(f"the sound system ended: {port.reason}")
            if engine.error is not None:
                raise engine.error


def status(port: Port, engine: "LiveEngine", effect: "Heard") -> str:
    """Return the status in one line: what is heard, and how the machine keeps up."""
    latency_ms = 1000 * engine.latency_samples / port.sample_rate
    return "  ".join(
        [
            *(f"{name} {meter(value)}" for name, value in presence_of(effect).items()),
            f"late {engine.late_blocks}",
            f"xruns {port.xruns}",
            f"latency {latency_ms:.0f} ms",
            f"CPU {100 * engine.cpu_share:.0f} %",
        ]
    )


def presence_of(effect: "Heard") -> Mapping[str, float]:
    """Return how surely each sound is there now, 0 to 1."""
    from soundlasso.bridge.board import Board
    from soundlasso.bridge.presets.remix import Remix
    from soundlasso.bridge.separate import Separate

    if isinstance(effect, Separate):
        return {effect.query: effect.presence}
    if not isinstance(effect, Board):
        return effect.presence
    remix = effect[0]
    assert isinstance(remix, Remix), "a preset's board begins with its stems"
    return remix.presence


def meter(value: float) -> str:
    """Return a bar, 0 to 1."""
    filled = round(METER_WIDTH * value)
    return "█" * filled + "░" * (METER_WIDTH - filled)
