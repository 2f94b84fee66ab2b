"""The record of a render, beside its stems: what went in, what came out, and with what.

It is written last, so that its presence says that all it lists was there, whole.
"""

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.audiofile_write import write_whole
from soundlasso.bridge.automation import Change
from soundlasso.dsp.errors import AudioFileError

if TYPE_CHECKING:
    from soundlasso.bridge.render_plan import RenderPlan
    from soundlasso.models.separator import Separator

MANIFEST_ENDING = ".soundlasso.json"
_LAYOUT = 1
_LIBRARIES = ("numpy", "scipy", "soundfile", "soxr", "torch")
# Settings that change no sample of the files, or that the files' paths show.
_NOT_COMPARED = ("existing", "device", "plot", "sessions", "report", "model", "name", "preset")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises
    ------
    AudioFileError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioFileError(f"cannot read {str(path)!r}: {error.strerror}") from error


def describe_request(plan: "RenderPlan", mix_hash: str, model: "Separator") -> dict[str, Any]:
    """Describe what decides every sample of a render: two equal descriptions give equal stems."""
    settings = {field.name: getattr(plan.settings, field.name) for field in dataclasses.fields(plan.settings)}
    return {
        "mix": {
            "name": plan.mix.path.name,
            "sha256": mix_hash,
            "sample_rate": plan.mix.sample_rate,
            "channels": plan.mix.channels,
            "frames": plan.mix.frames,
            "format": plan.mix.container,
            "subtype": plan.mix.subtype,
        },
        "queries": list(plan.queries),
        "model": {"name": model.name, "hash": model.weights_hash},
        "settings": {name: _plain(value) for name, value in settings.items() if name not in _NOT_COMPARED},
        "preset": _describe_preset(plan),
    }


def _describe_preset(plan: "RenderPlan") -> dict[str, Any] | None:
    """Return what of a preset decides the files, and its name."""
    if plan.settings.preset is None:
        return None
    from soundlasso.bridge.presets.chains import files_of
    from soundlasso.bridge.presets.reading import to_table

    preset = plan.settings.preset
    table = {key: value for key, value in to_table(preset).items() if key != "description"}
    chains = [*(strip.chain for strip in (*preset.stems, preset.rest)), preset.mix.chain]
    files = sorted({file for chain in chains for file in files_of(chain)})
    return {**table, "files": {file: hash_file(Path(file)) for file in files}} if files else table


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dataclasses.asdict(value) if isinstance(value, Change) else value


def write_manifest(path: Path, request: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
    """Write a manifest, whole or not at all.

    Parameters
    ----------
    path
        Where; replaced if it is there.
    request
        From `describe_request`.
    outcome
        What came of it; ``"files"`` maps each output's path, relative to the manifest, to its bytes, which
        are None for sessions, because their DAW changes them; ``"sessions"`` says how many they had when
        they were written; ``"earlier"`` is what earlier renders of the mix left.

    Raises
    ------
    AudioFileError
        It cannot be written.
    """
    versions = {"soundlasso": version("soundlasso"), "python": platform.python_version()}
    manifest = {
        "layout": _LAYOUT,
        **request,
        **outcome,
        "versions": versions | {library: version(library) for library in _LIBRARIES},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, text.encode(errors="backslashreplace"))  # a file name may be no UTF-8; JSON escapes it


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Read a manifest; None when there is none, or it is not one of ours."""
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    is_ours = isinstance(manifest, dict) and manifest.get("layout") == _LAYOUT
    return manifest if is_ours and isinstance(manifest.get("files"), dict) else None


def recorded_mix(path: Path) -> str | None:
    """Return the file name of the mix that a manifest is of; None when there is no manifest."""
    return _mix_name(read_manifest(path))


def _mix_name(manifest: Mapping[str, Any] | None) -> str | None:
    mix = (manifest or {}).get("mix")
    name = mix.get("name") if isinstance(mix, dict) else None
    return name if isinstance(name, str) else None


def listed_outputs(path: Path) -> list[Path]:
    """Return the paths of all files that a manifest lists, and those that earlier renders of its mix left."""
    return list(listed_sizes(path))


def listed_sizes(path: Path, mix: str | None = None) -> dict[Path, int | None]:
    """Return the same files with the bytes that each had; None where that is not known, or may change.

    Parameters
    ----------
    path
        The manifest.
    mix
        The file name of the mix that it has to be of; None takes any.
    """
    manifest = read_manifest(path)
    if manifest is None or (mix is not None and _mix_name(manifest) != mix):
        return {}
    earlier = manifest.get("earlier")
    if not isinstance(earlier, dict):  # a list of names, in older ones
        earlier = dict.fromkeys(earlier or ())
    return {path.parent / name: size for name, size in {**earlier, **manifest["files"]}.items()}


def session_sizes(path: Path) -> dict[Path, int]:
    """Return the sessions that a manifest lists with the bytes that each had when it was written."""
    sessions = (read_manifest(path) or {}).get("sessions")  # there is none in older ones
    return {path.parent / name: size for name, size in sessions.items()} if isinstance(sessions, dict) else {}


def find_trusted(plan: "RenderPlan", request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the manifest of an earlier render that equals this one and whose files are all there, or None.

    Parameters
    ----------
    plan
        What would be rendered.
    request
        Its description, from `describe_request`.
    """
    manifest = read_manifest(plan.manifest)
    if manifest is None or any(manifest.get(key) != value for key, value in request.items()):
        return None
    listed = {plan.manifest.parent / name: size for name, size in manifest["files"].items()}
    wanted = {path for path in plan.files if path != plan.manifest}
    whole = all(path.is_file() and size in (None, path.stat().st_size) for path, size in listed.items())
    return manifest if whole and wanted <= set(listed) else None
