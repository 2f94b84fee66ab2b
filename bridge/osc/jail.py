"""Keep the files that a client names inside one folder."""

import os
import stat
from pathlib import Path

from soundlasso.bridge.osc.errors import OscError

AUDIO_ENDINGS = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3")


class Jail:
    """A folder that no path leads out of, by ``..``, by a link or by a name that only starts alike.

    Parameters
    ----------
    root
        The folder; it has to exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve(strict=True)

    def audio_file(self, text: str) -> Path:
        """Return the real path of an audio file.

        Raises
        ------
        OscError
            With code ``bad_path`` when it is outside, not there or no regular file;
            ``unsupported_format`` by its ending.
        """
        path = self._inside(text)
        try:
            is_file = stat.S_ISREG(path.stat().st_mode)
        except OSError as error:
            raise OscError("bad_path", f"no file {text[:256]!r}: {error.strerror}") from None
        if not is_file:
            raise OscError("bad_path", f"{text[:256]!r} is not a file")
        if path.suffix.lower() not in AUDIO_ENDINGS:
            raise OscError("unsupported_format", f"{path.name[:256]!r} is none of {', '.join(AUDIO_ENDINGS)}")
        return path

    def folder(self, text: str) -> Path:
        """Return the real path of a folder, which may not be there yet.

        Raises
        ------
        OscError
            With code ``bad_path`` when it is outside or something else is there.
        """
        path = self._inside(text)
        try:
            is_other = not stat.S_ISDIR(path.stat().st_mode)
        except FileNotFoundError:
            return path
        except OSError as error:  # a name too long, a folder that may not be read
            raise OscError("bad_path", f"no folder {text[:256]!r}: {error.strerror}") from None
        if is_other:
            raise OscError("bad_path", f"{text[:256]!r} is not a folder")
        return path

    def _inside(self, text: str) -> Path:
        """Resolve a path, relative ones from the root; links are followed before it is judged."""
        try:
            path = Path(os.path.realpath(self.root / text))
        except ValueError:  # a zero byte
            raise OscError("bad_path", f"{text[:256]!r} is no path") from None
        if not path.is_relative_to(self.root):
            raise OscError("bad_path", f"{text[:256]!r} is outside the server's root folder")
        return path
