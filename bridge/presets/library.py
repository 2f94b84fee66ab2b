"""Presets by name: those that ship, and the user's own, which come first."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import platformdirs

from soundlasso.bridge.audiofile_write import write_whole
from soundlasso.bridge.naming import safe_name
from soundlasso.bridge.presets.preset import Preset
from soundlasso.bridge.presets.problems import nearest
from soundlasso.bridge.presets.reading import read_preset, write_preset
from soundlasso.dsp.errors import AudioFileError, PresetError, UnknownPresetError

CONFIG_VARIABLE = "SOUNDLASSO_CONFIG"
ENDING = ".toml"


class Found(NamedTuple):
    """A preset's file, and whether it is the user's."""

    path: Path
    is_own: bool


def user_folder() -> Path:
    """Return the folder of the user's presets; the variable SOUNDLASSO_CONFIG moves it."""
    chosen = os.environ.get(CONFIG_VARIABLE)
    return (Path(chosen) if chosen else platformdirs.user_config_path("soundlasso")) / "presets"


def shipped_folder() -> Path:
    """Return the folder of the presets that ship."""
    import soundlasso.presets

    return Path(soundlasso.presets.__file__).parent


def find_presets() -> dict[str, Found]:
    """Return all presets by name; one of the user's hides a shipped one of its name."""
    found = {path.stem: Found(path, False) for path in shipped_folder().glob(f"*{ENDING}")}
    found |= {path.stem: Found(path, True) for path in user_folder().glob(f"*{ENDING}")}
    return dict(sorted(found.items()))


def find_preset(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of a preset: a name as `find_presets` lists it, or the path of a ``.toml`` file.

    Raises
    ------
    UnknownPresetError
        No preset has that name; the nearest is given.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, Path) or text.lower().endswith(ENDING) or os.sep in text or "/" in text:
        return Path(name_or_path)
    known = find_presets()
    if text not in known:
        raise UnknownPresetError(f"no preset {text!r}; {nearest(text, known)}")
    return known[text].path


def load_preset(name_or_path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Preset:
    """Read a preset by its name, or from a file.

    Parameters
    ----------
    name_or_path
        A name as ``soundlasso presets list`` shows it, or the path of a ``.toml`` file.
    overrides
        Settings to change, as ``stem.drums.gain_db=-3``.

    Returns
    -------
    Preset
        With ``board()`` to play it and ``render(path)`` to render files.

    Raises
    ------
    UnknownPresetError
        No preset has that name; the nearest is given.
    PresetError
        Something in it cannot be: file, line, key, value and the nearest valid word.

    Examples
    --------
    >>> load_preset("podcast").stems[0].queries
    ('a person talking',)
    """
    return read_preset(find_preset(name_or_path), overrides)


def save_preset(preset: Preset, *, overwrite: bool = False) -> Path:
    """Write a preset to the user's folder, under its name; the file appears whole or not at all.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    PresetError
        The name cannot be a file's, a preset of that name is there, or the file cannot be written.
    """
    return save_text(preset.name, write_preset(preset), overwrite=overwrite)


def save_text(name: str, text: str, *, overwrite: bool = False) -> Path:
    """Write a preset's text; the rest as `save_preset`."""
    if safe_name(name) != name or name.startswith("."):
        raise PresetError(f"the preset name {name!r} cannot be a file's; an example is {safe_name(name)!r}")
    if name.lower().endswith(ENDING):
        raise PresetError(f"the preset name {name!r} would be taken for a file's path; leave out {ENDING!r}")
    path = user_folder() / f"{name}{ENDING}"
    if path.exists() and not overwrite:
        raise PresetError(f"a preset {name!r} is there already: {str(path)!r}; choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except (OSError, AudioFileError) as error:
        raise PresetError(f"cannot write preset {name!r}: {error}") from error
    return path
