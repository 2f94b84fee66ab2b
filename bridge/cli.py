"""The command `soundlasso`: what it can do, one row each, loaded when it is asked for."""

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer

from soundlasso import __version__
from soundlasso.dsp.errors import SoundlassoError

_INTERRUPTED = 130
_COMPLETION = "_SOUNDLASSO_COMPLETE"  # set by the shell, which then needs every option


class _Command(NamedTuple):
    """A command: its module in `bridge.commands`, and the function or app in it."""

    name: str
    attribute: str
    help: str


_COMMANDS = (
    _Command("render", "render", "Name sounds, get their stems as files."),
    _Command("live", "live", "Separate what comes in while it plays."),
    _Command("serve", "serve", "Let a DAW or controller do both over OSC."),
    _Command("daw", "app", "Write the files for REAPER, Ardour, Bitwig and others."),
    _Command("presets", "app", "List, show, check and make presets."),
    _Command("models", "app", "List, get, import and check models."),
    _Command("plugins", "app", "Find third-party plugins and what they can do."),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failure, 2 wrong usage, 130 Ctrl-C; without words, help.

    Parameters
    ----------
    arguments
        The words after the command's name; None takes them from the process.
    """
    # Before torch is loaded: threads that wait for each other sleep instead of spinning, which on a busy
    # machine costs ten times the work itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    sys.exit(_run(arguments or ["--help"]))


def _run(arguments: list[str]) -> int:
    try:
        return _build(arguments)(arguments, prog_name="soundlasso", standalone_mode=False) or 0
    except typer.TyperException as error:
        message = error.format_message().rstrip(".")
        if "\n" in message:  # the help of a group of commands, called without one
            return _show(message, error.exit_code)
        return _complain(f"{message[:1].lower()}{message[1:]}; see {_place(error)} --help", error.exit_code)
    except SoundlassoError as error:
        return _complain(str(error), 1)
    except BrokenPipeError:  # as when `head` has seen enough
        return _drop_stdout()
    except OSError as error:  # such as a full disk under stdout
        return _complain(error.strerror or str(error), _drop_stdout())
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED


def _place(error: typer.TyperException) -> str:
    """Name the command whose help tells what would be right."""
    context = getattr(error, "ctx", None)  # of wrong usage alone
    return "soundlasso" if context is None else str(context.command_path)


def _drop_stdout() -> int:
    """Lead stdout nowhere: what it still holds would fail again, and loudly, when Python ends."""
    with contextlib.suppress(io.UnsupportedOperation):  # a program that calls main() may have its own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _show(text: str, code: int) -> int:
    typer.echo(text)
    return code


def _complain(text: str, code: int) -> int:
    typer.echo(f"soundlasso: {text}", err=True)
    return code


def _build(arguments: Sequence[str]) -> typer.Typer:
    """Put the commands together, loading only the one that is asked for."""
    app = typer.Typer(help="Name a sound, get its stem.", rich_markup_mode=None)
    app.callback()(_top)
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for command in _COMMANDS:
        if command.name == asked or _COMPLETION in os.environ:
            _mount(app, command)
        else:
            app.command(command.name, help=command.help)(_stand_in)
    return app


def _mount(app: typer.Typer, command: _Command) -> None:
    module = importlib.import_module(f"soundlasso.bridge.commands.{command.name}")
    target = getattr(module, command.attribute)
    if isinstance(target, typer.Typer):
        app.add_typer(target, name=command.name, help=command.help)
    else:
        app.command(command.name)(target)


def _stand_in() -> None:
    """Stand for a command in the list of commands."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"soundlasso {__version__}")
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""
