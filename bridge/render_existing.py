"""Decide what becomes of files that are there where a render would write."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from soundlasso.bridge.audiofile_write import existing_folder
from soundlasso.bridge.manifest import listed_sizes, recorded_mix, session_sizes
from soundlasso.dsp.errors import AudioFileError

if TYPE_CHECKING:
    from soundlasso.bridge.render_plan import RenderPlan


def check_existing(plan: "RenderPlan", *, anew: bool = False) -> None:
    """Check that every file of a plan can be made, and that none is there that has to stay.

    Parameters
    ----------
    plan
        What would be rendered.
    anew
        Whether it certainly will be; then a session that its DAW has saved since has to stay, too.

    Raises
    ------
    AudioFileError
        With the file. When what was rendered before is to be skipped, that is what an earlier render of a mix
        of this name did not write, or was changed since; when it is to be overwritten, a record of another
        mix.
    """
    there = [path for path in plan.files if _is_there(path)]
    if plan.settings.existing == "overwrite":
        _check_same_mix(plan)
    elif plan.settings.existing == "skip":
        _check_ours(plan, there, session_sizes(plan.manifest) if anew else {})
    elif there:
        raise AudioFileError(
            f"{_exist(there)}; choose another folder (--out), "
            "or set existing to overwrite or skip (--overwrite, --resume)"
        )


def _check_ours(plan: "RenderPlan", there: list[Path], sessions: Mapping[Path, int]) -> None:
    """Refuse to replace what no render of this mix wrote, and what somebody has edited since."""
    sizes = listed_sizes(plan.manifest, mix=plan.mix.path.name)
    sizes |= {path: size for path, size in sessions.items() if path in sizes}
    ours = {*sizes, *([plan.manifest] if sizes else [])}
    strange = [path for path in there if path not in ours]
    if strange:
        raise AudioFileError(
            f"{_exist(strange)}, and no earlier render of {plan.mix.path.name!r} wrote it; "
            "move it, or choose another folder (--out)"
        )
    for path in there:
        if sizes.get(path) not in (None, path.lstat().st_size):
            raise AudioFileError(
                f"{str(path)!r} was changed since it was rendered; "
                "move it, or set existing to overwrite (--overwrite)"
            )


def _exist(paths: list[Path]) -> str:
    more = f", as do {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{str(paths[0])!r} exists already{more}"


def _check_same_mix(plan: "RenderPlan") -> None:
    """Refuse to replace another mix's record, without which nobody knows whose the files beside it are."""
    other = recorded_mix(plan.manifest)
    if other not in (None, plan.mix.path.name):
        raise AudioFileError(
            f"{str(plan.manifest)!r} is of another mix, {other!r}; "
            f"render {plan.mix.path.name!r} into another folder, or rename it"
        )


def _is_there(path: Path) -> bool:
    """Tell whether a file is there, refusing a place where none can be made."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        folder = existing_folder(path)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise AudioFileError(f"no file may be made in {str(folder)!r}: permission denied") from None
        return False
    except OSError as error:  # a file where a folder has to be, a name too long
        raise AudioFileError(f"cannot make {str(path)!r}: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise AudioFileError(f"{str(path)!r} is a folder; a file is to go there")
    return True
