"""REAPER's projects: nested blocks of lines, each a word and its values.

There is no published grammar; the words here are those that REAPER itself writes.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from soundlasso.bridge.audiofile_write import write_whole
from soundlasso.bridge.export.session import Session, Track, plain_text

_READERS = {".mp3": "MP3", ".flac": "FLAC", ".ogg": "VORBIS", ".opus": "VORBIS"}
_CUSTOM_COLOUR = 0x1000000
_IN_FOLDER, _OPENS_FOLDER, _CLOSES_FOLDER = "0 0", "1 1", "2 -1"


def write_reaper(session: Session, path: Path) -> list[Path]:
    """Write a REAPER project beside its audio; parameters and errors as `write_session`."""
    text = "\n".join(_project(session, path.parent)) + "\n"
    write_whole(path, text.encode(errors=sys.getfilesystemencodeerrors()))  # a path may be no UTF-8
    return [path]


def _project(session: Session, folder: Path) -> Iterator[str]:
    yield '<REAPER_PROJECT 0.1 "7.0/soundlasso" 0'
    yield f"  SAMPLERATE {session.sample_rate} 1 0"
    yield f"  MASTER_NCH {_even(session.channels)} 2"
    yield f"  PROJOFFS {session.seconds(session.time_reference_samples)!r} 0 0"
    if session.tempo_bpm is not None:
        yield f"  TEMPO {session.tempo_bpm!r} {session.beats_per_bar} {session.beat_unit}"
    for number, marker in enumerate(session.markers, 1):
        name = _quote(plain_text(marker.name))
        yield f"  MARKER {number} {session.seconds(marker.position_samples)!r} {name} 0"
    if session.grouped:
        yield from _folder(session)
    for track in session.grouped:
        last = track is session.grouped[-1]
        yield from _track(session, track, folder, _CLOSES_FOLDER if last else _IN_FOLDER)
    for track in session.alone:
        yield from _track(session, track, folder, _IN_FOLDER)
    yield ">"


def _folder(session: Session) -> Iterator[str]:
    yield "  <TRACK"
    yield f"    NAME {_quote(plain_text(session.name))}"
    yield f"    ISBUS {_OPENS_FOLDER}"
    yield f"    NCHAN {_even(session.channels)}"
    yield "  >"


def _track(session: Session, track: Track, folder: Path, nesting: str) -> Iterator[str]:
    yield "  <TRACK"
    yield f"    NAME {_quote(plain_text(track.name))}"
    yield f"    PEAKCOL {_colour(track.colour)}"
    yield f"    MUTESOLO {int(track.muted)} 0 0"
    yield f"    ISBUS {nesting}"
    yield f"    NCHAN {_even(track.channels)}"
    yield "    <ITEM"
    yield f"      POSITION {session.seconds(track.start_samples)!r}"
    yield f"      LENGTH {session.seconds(track.frames)!r}"
    yield "      LOOP 0"
    yield "      FADEIN 1 0 0 1 0 0 0"
    yield "      FADEOUT 1 0 0 1 0 0 0"
    yield f"      NAME {_quote(plain_text(track.name))}"
    yield "      SOFFS 0"
    yield f"      <SOURCE {_READERS.get(track.path.suffix.lower(), 'WAVE')}"
    yield f"        FILE {_quote(_on_one_line(relative(track.path, folder)))}"
    yield "      >"
    yield "    >"
    yield "  >"


def relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with ``/``; absolute only where another drive leaves no choice."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def _on_one_line(path: str) -> str:
    """Keep a path as it is, but for line breaks, which no line of a project can hold."""
    return path.replace("\r", " ").replace("\n", " ")


def _quote(text: str) -> str:
    """Put a value in the one kind of quotes that it does not contain; REAPER knows three and no escape."""
    mark = next((mark for mark in "\"'`" if mark not in text), None)
    return f"{mark}{text}{mark}" if mark else "`" + text.replace("`", "'") + "`"


def _colour(colour: str) -> int:
    """Return a colour as REAPER stores it: blue, green, red, and a bit that says it was chosen."""
    red, green, blue = bytes.fromhex(colour[1:])
    return _CUSTOM_COLOUR | blue << 16 | green << 8 | red


def _even(channels: int) -> int:
    """Return how many channels a track needs: REAPER counts them in pairs."""
    return channels + channels % 2
