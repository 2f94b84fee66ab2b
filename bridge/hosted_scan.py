"""Which plugins are installed, found without loading any."""

import difflib
import os
from pathlib import Path

import pedalboard
from pedalboard import Plugin

from soundlasso.dsp.errors import SoundlassoError


class PluginError(SoundlassoError, RuntimeError):
    """A plugin that cannot be found, loaded or set, that hangs, or that died."""


def installed_plugins() -> list[str]:
    """Return the paths of all VST3 plugins, and on macOS Audio Units, that are installed."""
    kinds: list[type[Plugin]] = [pedalboard.VST3Plugin]
    if hasattr(pedalboard, "AudioUnitPlugin"):
        kinds.append(pedalboard.AudioUnitPlugin)
    return sorted({path for kind in kinds for path in kind.installed_plugins})  # type: ignore[attr-defined]


def plugin_name(path: str) -> str:
    """Return the name a plugin is asked for by: its file's, without the ending."""
    return Path(path).stem


def find_plugin(path_or_name: str | os.PathLike[str]) -> str:
    """Return a plugin's path.

    Raises
    ------
    PluginError
        It is neither a file nor the name of an installed plugin; the nearest names are given.
    """
    wanted = os.fspath(path_or_name)
    if os.path.exists(wanted):
        return os.path.abspath(wanted)
    by_name = {plugin_name(path): path for path in installed_plugins()}
    if wanted in by_name:
        return by_name[wanted]
    near = difflib.get_close_matches(wanted, by_name, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"{len(by_name)} are installed"
    raise PluginError(f"no plugin {wanted!r}: no such file, and no installed plugin of that name; {hint}")
