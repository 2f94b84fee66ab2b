"""`soundlasso serve`: the OSC server for DAWs and controllers."""

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundlasso.dsp.errors import SoundlassoError

if TYPE_CHECKING:
    from soundlasso.bridge.osc.options import Notified, Options
    from soundlasso.bridge.osc.state import State

PORT_TAKEN_STATUS = 3
MIN_TOKEN_CHARS = 12


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="UDP and TCP port; 0 for any free one.")
    ] = 17770,
    root: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder that clients may read and write.")
    ] = Path(),
    model: Annotated[str, typer.Option(help="Model that separates.")] = "lariat",
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Preset to begin with: its sounds become slots."),
    ] = None,
    live: Annotated[
        str | None,
        typer.Option(
            metavar="jack[:SERVER]|device[:NAME]|FILE",
            help="What to play through the slots: JACK or PipeWire, a sound card, or a file.",
        ),
    ] = None,
    live_channels: Annotated[
        int, typer.Option(min=1, max=64, help="Channels of JACK or the sound card, in and out.")
    ] = 2,
    live_record: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Record what is played to this WAV file.")
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Network that may read, as 192.168.1.0/24.")] = None,
    token: Annotated[
        str, typer.Option(help="Secret with which other hosts may write.", envvar="SOUNDLASSO_TOKEN")
    ] = "",
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="THEIRS=OURS", help="Address that stands for one of ours: /1/fader1=/lasso/mix."
        ),
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(metavar="[HOST:]PORT[/MASK]", help="Client to tell of all from the start."),
    ] = None,
    ardour_exports: Annotated[
        bool,
        typer.Option(
            "--ardour-exports", help="Render what Ardour exports into --root, as it tells UDP port 7770."
        ),
    ] = False,
    port_file: Annotated[
        Path | None, typer.Option(help="File to write the address to, while serving.")
    ] = None,
    mdns: Annotated[bool, typer.Option(help="Announce the server on the local network.")] = False,
    allow_quit: Annotated[bool, typer.Option(help="Let clients stop the server.")] = False,
    ignore_time_tags: Annotated[bool, typer.Option(help="Apply all bundles at once.")] = False,
) -> None:
    """Answer OSC: queries, parameters, renders with progress, live slots, OSCQuery.

    UDP, TCP and HTTP share one port. Only this machine is heard unless --host and --allow say otherwise;
    other hosts write only with the --token.
    """
    from soundlasso.bridge.osc.exported import ARDOUR_PORT
    from soundlasso.bridge.osc.options import Options
    from soundlasso.bridge.osc.transport import PortError

    networks = tuple(allow or ())
    options = Options(
        host=host,
        port=port,
        root=root,
        model=model,
        device=device,
        live=live,
        live_channels=live_channels,
        allow=networks,
        token=token,
        live_record=live_record,
        state=None if preset is None else preset_state(preset, model),
        allow_quit=allow_quit,
        ignore_time_tags=ignore_time_tags,
        maps=dict(map(parse_map, maps or ())),
        notify=tuple(map(parse_notify, notify or ())),
        ardour_port=ARDOUR_PORT if ardour_exports else None,
    )
    try:
        check_exposure(options)
        check_live(options)
        asyncio.run(run_server(options, port_file, mdns))
    except PortError as error:
        typer.echo(f"soundlasso: {error}", err=True)
        raise typer.Exit(PORT_TAKEN_STATUS) from error


def check_exposure(options: "Options") -> None:
    """Refuse settings that would open the server further than its user means.

    Raises
    ------
    SoundlassoError
        For a network that is none, a host that nobody may reach, or a token that can be guessed.
    """
    for network in options.allow:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise SoundlassoError(f"no network {network!r}; an example is 192.168.1.0/24") from None
    if options.token and len(options.token) < MIN_TOKEN_CHARS:
        example = secrets.token_urlsafe(16)
        raise SoundlassoError(
            f"a token of {len(options.token)} characters can be guessed; one that cannot is {example}"
        )


def parse_map(text: str) -> tuple[str, str]:
    """Read ``THEIRS=OURS``.

    Raises
    ------
    SoundlassoError
        It is not of that form.
    """
    theirs, equals, ours = text.partition("=")
    if not (theirs and equals and ours):
        raise SoundlassoError(f"cannot map {text!r}; an example is /1/fader1=/lasso/slot/1/gain/norm")
    return theirs, ours


def parse_notify(text: str) -> "Notified":
    """Read ``[HOST:]PORT[/MASK]``; the host is this machine, the mask parameters and jobs.

    Raises
    ------
    SoundlassoError
        It is not of that form, or the host is no numeric address.
    """
    from soundlasso.bridge.osc.clients import Topic
    from soundlasso.bridge.osc.options import Notified

    place, _, mask = text.partition("/")
    host, _, port = place.rpartition(":")
    try:
        address = str(ipaddress.ip_address(host.strip("[]") or "127.0.0.1"))
        if not 0 < int(port) < 65536 or not 0 < int(mask or 3) < 32:
            raise ValueError
    except ValueError:
        example = "9000, 192.168.1.20:9000 or 9000/31"
        raise SoundlassoError(f"cannot notify {text!r}; examples are {example}") from None
    return Notified(address, int(port), Topic(int(mask or 3)))


def preset_state(name_or_path: str, model: str) -> "State":
    """Return the slots and settings of a preset, telling what slots cannot play of it.

    Raises
    ------
    SoundlassoError
        There is no such preset, something in it cannot be, or it wants another model.
    """
    from soundlasso.bridge.osc.presets import apply_preset
    from soundlasso.bridge.osc.state import State
    from soundlasso.bridge.presets.library import load_preset

    state = State()
    left_out = apply_preset(load_preset(name_or_path), state, model)
    if left_out:
        typer.echo(f"soundlasso: slots do without {', '.join(left_out)}", err=True)
    return state


def check_live(options: "Options") -> None:
    """Refuse what cannot be played before anything is started.

    Raises
    ------
    SoundlassoError
        For a file that is not there or no audio; for a library that JACK or the sound card needs.
    """
    if options.live is None:
        return
    from soundlasso.bridge.audiofile import inspect_audio
    from soundlasso.bridge.live_device import load_sounddevice
    from soundlasso.bridge.live_jack import load_jack
    from soundlasso.bridge.osc.live_source import parse_source

    source = parse_source(options.live, options.live_channels)
    if source.kind == "jack":
        load_jack()
    elif source.kind == "device":
        load_sounddevice()
    else:
        inspect_audio(source.name)


async def run_server(options: "Options", port_file: Path | None, is_announced: bool = False) -> None:
    """Serve until a signal or a client ends it; write the address to a file meanwhile."""
    from soundlasso.bridge.osc.mdns import announced
    from soundlasso.bridge.osc.server import Server

    server = Server(options)
    number = await server.start()
    _on_signals(server.stopped)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)  # also when what follows cannot be done
        if is_announced:
            await stack.enter_async_context(announced(options.host, number))
        stack.enter_context(_address_file(port_file, f"{options.host} {number}\n"))
        typer.echo(
            f"soundlasso listens on {options.host} port {number}: OSC over UDP and TCP, OSCQuery over HTTP"
        )
        await server.stopped.wait()


def _on_signals(stopped: asyncio.Event) -> None:
    """End at Ctrl-C and SIGTERM; a second one ends at once."""

    def stop() -> None:
        if stopped.is_set():
            os._exit(130)
        stopped.set()

    if sys.platform != "win32":  # where Ctrl-C raises KeyboardInterrupt and nothing else comes
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop)


@contextlib.contextmanager
def _address_file(path: Path | None, text: str) -> Iterator[None]:
    """Keep a file with the address, whole from the first moment it is there.

    Raises
    ------
    SoundlassoError
        It cannot be written.
    """
    if path is None:
        yield
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text)
        part.replace(path)
    except OSError as error:
        raise SoundlassoError(f"cannot write the address to {str(path)!r}: {error.strerror}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
