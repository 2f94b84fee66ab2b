"""`soundlasso live`: name sounds and hear them, or the rest, a moment later."""

import contextlib
import math
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeAlias

import typer

if TYPE_CHECKING:
    import threading

    from soundlasso.bridge.container import Item
    from soundlasso.bridge.live import LiveEngine
    from soundlasso.bridge.separate import Separate
    from soundlasso.bridge.stems import Stems

Keep: TypeAlias = Literal["stem", "rest"]  # as models.stream has it, without loading torch
STATUS_INTERVAL_S = 0.25
METER_WIDTH = 10


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
    query: Annotated[list[str], typer.Option("--query", "-q", help="A sound, in words; may be repeated.")],
    keep: Annotated[Keep, typer.Option(help="stem: what was named; rest: all but that.")] = "stem",
    avoid: Annotated[list[str] | None, typer.Option(help="A sound to keep out; may be repeated.")] = None,
    mix: Annotated[float, typer.Option(min=0, max=1, help="0 all dry, 1 separated.")] = 1.0,
    gain_db: Annotated[float, typer.Option("--gain", max=60, help="Gain of the output in dB.")] = 0.0,
    model: Annotated[str, typer.Option(help="Model that separates.")] = "lariat",
    jack: Annotated[bool, typer.Option("--jack", help="Play through JACK or PipeWire.")] = False,
    server: Annotated[str | None, typer.Option(help="Name of the JACK server.")] = None,
    device: Annotated[str | None, typer.Option(help="Sound card, by name or number.")] = None,
    channels: Annotated[int, typer.Option(min=1, max=64, help="Channels, in and out.")] = 2,
    latency: Annotated[float | None, typer.Option(help="From input to output, in milliseconds.")] = None,
    hop: Annotated[int, typer.Option(min=1, help="Samples taken at a time.")] = 1024,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
) -> None:
    """Separate live audio: hear what you name, or the rest, through JACK or a sound card.

    Ctrl-C ends it. What the machine does not finish in time is played dry, in place, and counted.
    """
    import torch

    from soundlasso.bridge.live import LiveEngine, calm_python

    torch.set_num_threads(1)  # a second thread would wait for the audio thread's processor
    effect = make_effect(query, keep=keep, avoid=avoid or [], mix=mix, gain_db=gain_db, model=model)
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


def make_effect(
    queries: list[str], *, keep: Keep, avoid: list[str], mix: float, gain_db: float, model: str
) -> "Separate | Stems":
    """Return one sound as a `Separate`, several as `Stems`.

    Raises
    ------
    QueryError, ValueError
        A query or setting that cannot be.
    """
    from soundlasso.bridge.separate import Separate
    from soundlasso.bridge.stems import REST, Stems

    if len(queries) == 1:
        return Separate(queries[0], keep=keep, avoid=avoid, mix=mix, gain_db=gain_db, model=model)
    gain = 10 ** (gain_db / 20)  # the dry signal is named and rest, so only what is not kept turns down
    named, rest = (gain, gain * (1 - mix)) if keep == "stem" else (gain * (1 - mix), gain)
    return Stems({**{name: fader(named) for name in queries}, REST: fader(rest)}, avoid=avoid, model=model)


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


def watch(port: Port, engine: "LiveEngine", effect: "Separate | Stems", seconds: float | None) -> None:
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


def status(port: Port, engine: "LiveEngine", effect: "Separate | Stems") -> str:
    """Return the status in one line: what is heard, and how the machine keeps up."""
    from soundlasso.bridge.separate import Separate

    meters = {effect.query: effect.presence} if isinstance(effect, Separate) else effect.presence
    latency_ms = 1000 * engine.latency_samples / port.sample_rate
    return "  ".join(
        [
            *(f"{name} {meter(value)}" for name, value in meters.items()),
            f"late {engine.late_blocks}",
            f"xruns {port.xruns}",
            f"latency {latency_ms:.0f} ms",
            f"CPU {100 * engine.cpu_share:.0f} %",
        ]
    )


def meter(value: float) -> str:
    """Return a bar, 0 to 1."""
    filled = round(METER_WIDTH * value)
    return "█" * filled + "░" * (METER_WIDTH - filled)
