"""What a DAW shows of a render: tracks in their places, markers and tempo; told to each DAW in its own words.

A session points at audio that is there already.  Whoever has files and places can make one; nothing here
knows of renders.
"""

import colorsys
import hashlib
import shutil
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from soundlasso.dsp.errors import SoundlassoError

SessionKind = Literal["dawproject", "rpp", "ardour"]
SESSION_KINDS: tuple[SessionKind, ...] = get_args(SessionKind)
"""What can be written: `.dawproject` for Bitwig, Studio One, Cubase and others; REAPER's; Ardour's."""

ORIGINAL_COLOUR = "#8a8a8a"
REST_COLOUR = "#b8b8b8"

# Words that name the usual stems, and their colour on the wheel in degrees: one colour a family.
_HUES = {
    ("drum", "percussion", "beat", "kick", "snare", "cymbal"): 20,
    ("bass",): 265,
    ("guitar", "banjo", "ukulele", "mandolin"): 40,
    ("piano", "key", "organ", "synth", "accordion"): 195,
    ("violin", "cello", "string", "viola", "fiddle", "harp"): 335,
    ("flute", "sax", "trumpet", "brass", "clarinet", "horn", "trombone", "oboe"): 85,
    ("voice", "vocal", "sing", "speech", "talk", "speak", "choir", "narrat", "dialogue"): 150,
    ("dog", "cat", "bird", "animal", "insect"): 115,
    ("wind", "rain", "water", "traffic", "noise", "thunder", "sea", "engine"): 220,
}


@dataclass(frozen=True)
class Marker:
    """A named moment, in samples from the start of the timeline."""

    name: str
    position_samples: int


@dataclass(frozen=True)
class Track:
    """One track with one audio file on it.

    Attributes
    ----------
    name
        As a person reads it.
    path
        The audio file, at the session's sample rate.
    channels, frames
        Of the file.
    start_samples
        Where the file begins on the timeline.
    colour
        ``"#rrggbb"``.
    muted
        Whether the track is silent at first, as the original is beside its stems.
    grouped
        Whether it is in the session's group.
    """

    name: str
    path: Path
    channels: int
    frames: int
    start_samples: int = 0
    colour: str = ORIGINAL_COLOUR
    muted: bool = False
    grouped: bool = True


@dataclass(frozen=True)
class Session:
    """All that is written into a session, whatever the DAW.

    Attributes
    ----------
    name
        The session's, and its group's.
    sample_rate
        In Hz; of all files.
    tracks
        From top to bottom; those in the group stand together.
    markers
        In order of time.
    tempo_bpm
        In quarter notes a minute; None when it is not known.
    beats_per_bar, beat_unit
        The metre.
    time_reference_samples
        What the clock shows at the start of the timeline, in samples since midnight.
    """

    name: str
    sample_rate: int
    tracks: tuple[Track, ...]
    markers: tuple[Marker, ...] = ()
    tempo_bpm: float | None = None
    beats_per_bar: int = 4
    beat_unit: int = 4
    time_reference_samples: int = 0

    @property
    def channels(self) -> int:
        """The most channels of any track."""
        return max(track.channels for track in self.tracks)

    @property
    def end_samples(self) -> int:
        """Where the last track ends."""
        return max(track.start_samples + track.frames for track in self.tracks)

    @property
    def grouped(self) -> tuple[Track, ...]:
        """The tracks in the group."""
        return tuple(track for track in self.tracks if track.grouped)

    @property
    def alone(self) -> tuple[Track, ...]:
        """The tracks beside the group."""
        return tuple(track for track in self.tracks if not track.grouped)

    def seconds(self, samples: int) -> float:
        """Turn samples of this session into seconds."""
        return samples / self.sample_rate


def session_path(kind: SessionKind, folder: Path, base: str) -> Path:
    """Return where a session of this kind goes; Ardour wants a folder of its own for each."""
    if kind == "ardour":
        return folder / f"{base} (Ardour)" / f"{base}.ardour"
    return folder / f"{base}.{kind}"


def write_session(session: Session, kind: SessionKind, path: Path) -> list[Path]:
    """Write a session, whole or not at all; replaces what is there.

    Parameters
    ----------
    session
        What to write; its audio files are in their places.
    kind
        One of `SESSION_KINDS`.
    path
        From `session_path`. Audio is referred to from here, so that the folder can be moved.

    Returns
    -------
    list of pathlib.Path
        Every file that was made: the session, and the audio that is linked to it.

    Raises
    ------
    SoundlassoError
        There is no such kind.
    AudioFileError
        The session cannot be written, or a file of it not read.
    """
    to_session_kinds([kind])
    return _writer(kind)(session, path)


def removal(kind: SessionKind, path: Path) -> Callable[[], None]:
    """Return what takes back a session that is about to be written; nothing that is there before goes."""
    root = path.parent if kind == "ardour" else path
    if root.exists():
        return lambda: None
    if kind == "ardour":
        return lambda: shutil.rmtree(root, ignore_errors=True)
    return lambda: root.unlink(missing_ok=True)


def to_session_kinds(words: Iterable[str]) -> tuple[SessionKind, ...]:
    """Take words for kinds of sessions, each once.

    Raises
    ------
    SoundlassoError
        With those that there are.
    """
    known: dict[str, SessionKind] = {kind: kind for kind in SESSION_KINDS}
    kinds: dict[SessionKind, None] = {}
    for word in words:
        kind = known.get(word)
        if kind is None:
            raise SoundlassoError(f"no session {word!r}; choose one of {', '.join(SESSION_KINDS)}")
        kinds[kind] = None
    return tuple(kinds)


def _writer(kind: SessionKind) -> Callable[[Session, Path], list[Path]]:
    from soundlasso.bridge.export.ardour import write_ardour
    from soundlasso.bridge.export.dawproject import write_dawproject
    from soundlasso.bridge.export.reaper import write_reaper

    writers = {"dawproject": write_dawproject, "rpp": write_reaper, "ardour": write_ardour}
    return writers[kind]


def plain_text(text: str) -> str:
    """Take out what no session file can hold: control characters and halves of surrogate pairs."""
    spaced = " ".join(text.split())
    return "".join(letter for letter in spaced if unicodedata.category(letter) not in ("Cc", "Cs", "Cn"))


def stem_colour(query: str) -> str:
    """Choose a stem's colour by what it is, so that drums look the same in every session.

    Parameters
    ----------
    query
        What was asked for.

    Returns
    -------
    str
        ``"#rrggbb"``; a query that names nothing common gets a colour of its own, always the same.
    """
    words = query.lower()
    known = (hue for names, hue in _HUES.items() if any(name in words for name in names))
    hue = next(known, int.from_bytes(hashlib.sha256(words.encode()).digest()[:2], "big") % 360)
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue / 360, 0.55, 0.6))
    return f"#{red:02x}{green:02x}{blue:02x}"
