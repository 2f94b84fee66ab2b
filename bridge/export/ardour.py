"""Ardour's sessions: a folder with one XML file, and the audio where Ardour looks for it.

The form is that of Ardour 7, which later versions read.  Written is what Ardour needs to open the session;
all that it would give new tracks by itself is left to it.  The audio is linked into the session's folder
(a second name for the same file, which costs no space), or copied where the file system has no links, so
the folder can be moved by itself.  Tracks and master pass samples on as they are: no panner bends them.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from soundlasso.bridge.audiofile_write import replacing, temporary_path, write_whole
from soundlasso.bridge.export.session import Session, Track, plain_text
from soundlasso.bridge.naming import make_distinct, safe_name
from soundlasso.dsp.errors import AudioFileError

_VERSION = "7002"
_CLOCK_HZ = 282_240_000  # Ardour's time: a whole number of ticks in a sample at every usual rate
_DEFAULT_TEMPO = 120.0
LEAST_RATE_HZ = 32_000
"""Below it Ardour 7 may play silence, with the disk buffer it comes with: so at 22 and 24 kHz, not at 27."""
_GROUPED_BY = "gain mute solo recenable select route-active color monitoring".split()


def write_ardour(session: Session, path: Path) -> list[Path]:
    """Write a session into its folder, ``path.parent``; parameters and errors as `write_session`.

    The XML file comes last: before it is there, there is no session.
    """
    folder = path.parent
    audio = folder / "interchange" / folder.name / "audiofiles"
    is_new = not folder.exists()
    names = _names(session)
    try:
        audio.mkdir(parents=True, exist_ok=True)
        for track, name in zip(session.tracks, names, strict=True):
            _link(track.path, audio / name)
        write_whole(path, _Document(session, names, path.stem).to_bytes())
    except OSError as error:
        raise AudioFileError(f"cannot write {str(error.filename)!r}: {error.strerror}") from error
    finally:
        if is_new and not path.exists():
            shutil.rmtree(folder, ignore_errors=True)
    return [path, *(audio / name for name in names)]


def _names(session: Session) -> list[str]:
    bases = make_distinct(PurePosixPath(safe_name(track.path.stem)) for track in session.tracks)
    return [f"{base}{track.path.suffix}" for track, base in zip(session.tracks, bases, strict=True)]


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, replacing what has it."""
    temporary = temporary_path(target)
    try:
        os.link(os.path.realpath(source), temporary)  # Linux would link a symbolic link itself
    except OSError:  # another file system, or one without links
        with replacing(target) as copy:
            shutil.copyfile(source, copy)
        return
    try:
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)  # a link onto itself is left in place by rename


class _Document:
    """The XML of one session, every part with a number of its own."""

    def __init__(self, session: Session, names: list[str], title: str) -> None:
        self._session = session
        self._names = names
        self._title = title
        self._numbers = count(1)

    def to_bytes(self) -> bytes:
        root = self._build()
        root.set("id-counter", self._next())
        ElementTree.indent(root)
        return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))

    def _next(self) -> str:
        return str(next(self._numbers))

    def _build(self) -> Element:
        session = self._session
        root = Element(
            "Session", version=_VERSION, name=self._title, attrib={"sample-rate": str(session.sample_rate)}
        )
        self._add_options(root)
        parts = {
            name: SubElement(root, name)
            for name in ("Sources", "Regions", "Locations", "Routes", "Playlists", "RouteGroups")
        }
        self._add_locations(parts["Locations"])
        self._add_route(parts["Routes"], "Master", session.channels, order=0)
        titles = _distinct_titles(session)
        for order, (track, file, title) in enumerate(
            zip(session.tracks, self._names, titles, strict=True), 1
        ):
            self._add_track(parts, track, file, title, order)
        self._add_group(parts["RouteGroups"], parts["Routes"])
        self._add_tempo(root)
        return root

    def _add_options(self, root: Element) -> None:
        # The clock is left alone: with an offset, ardour7-export would put twice as much silence first.
        config = SubElement(root, "Config")
        SubElement(config, "Option", name="native-file-data-format", value="FormatFloat")

    def _add_locations(self, locations: Element) -> None:
        self._add_location(locations, "session", 0, self._session.end_samples, "IsSessionRange")
        for marker in self._session.markers:
            at = marker.position_samples
            self._add_location(locations, plain_text(marker.name), at, at, "IsMark")

    def _add_location(self, locations: Element, name: str, start: int, end: int, flags: str) -> None:
        lock = {"position-lock-style": "AudioTime"}
        SubElement(
            locations,
            "Location",
            lock,
            id=self._next(),
            name=name,
            start=self._time(start),
            end=self._time(end),
            flags=flags,
            locked="0",
        )

    def _time(self, samples: int) -> str:
        return f"a{round(samples * _CLOCK_HZ / self._session.sample_rate)}"

    def _add_track(self, parts: dict[str, Element], track: Track, file: str, title: str, order: int) -> None:
        sources = [self._add_source(parts["Sources"], file, channel) for channel in range(track.channels)]
        route = self._add_route(parts["Routes"], title, track.channels, order=order, track=track)
        playlist = SubElement(parts["Playlists"], "Playlist", name=title, type="audio", id=self._next())
        playlist.set("orig-track-id", route.get("id", ""))
        route.set("audio-playlist", playlist.get("id", ""))
        self._add_region(parts["Regions"], track, sources, whole=True)
        self._add_region(playlist, track, sources, whole=False)

    def _add_source(self, sources: Element, file: str, channel: int) -> str:
        number = self._next()
        SubElement(
            sources, "Source", name=file, type="audio", flags="", id=number, channel=str(channel), origin=""
        )
        return number

    def _add_region(self, parent: Element, track: Track, sources: list[str], *, whole: bool) -> None:
        region = SubElement(parent, "Region", id=self._next(), name=plain_text(track.name), type="audio")
        switches = {"opaque": True, "whole-file": whole}
        switches |= dict.fromkeys(
            ("muted", "locked", "fade-in-active", "fade-out-active", "envelope-active"), False
        )
        for name, value in switches.items():
            region.set(name, str(int(value)))
        region.set("start", "a0")
        region.set("length", f"{self._time(track.frames)}@{self._time(track.start_samples)}")
        region.set("channels", str(track.channels))
        for channel, source in enumerate(sources):
            region.set(f"source-{channel}", source)
            region.set(f"master-source-{channel}", source)

    def _add_route(
        self, routes: Element, title: str, channels: int, *, order: int, track: Track | None = None
    ) -> Element:
        route = SubElement(routes, "Route", version=_VERSION, id=self._next(), name=title)
        kind = "MasterOut" if track is None else "AudioTrack"
        for name, value in {"default-type": "audio", "strict-io": "1", "active": "1"}.items():
            route.set(name, value)
        if track is not None:
            route.set("mode", "Normal")
        if track is not None and track.grouped:
            route.set("route-group", plain_text(self._session.name))
        colour = 0 if track is None else _rgba(track.colour)
        SubElement(route, "PresentationInfo", order=str(order), flags=f"{kind},OrderSet", color=str(colour))
        self._add_io(route, title, "Input", "in", channels, None)
        self._add_io(route, title, "Output", "out", channels, None if track is None else "Master")
        if track is not None:
            self._add_mute(route, muted=track.muted)
        self._add_processors(route, title, is_track=track is not None)
        return route

    def _add_io(
        self, route: Element, title: str, direction: str, short: str, channels: int, goes_to: str | None
    ) -> None:
        io = SubElement(route, "IO", name=title, id=self._next(), direction=direction)
        io.set("default-type", "audio")
        for channel in range(1, channels + 1):
            port = SubElement(io, "Port", type="audio", name=f"{title}/audio_{short} {channel}")
            if goes_to is not None:
                SubElement(port, "Connection", other=f"{goes_to}/audio_in {channel}")

    def _add_mute(self, route: Element, *, muted: bool) -> None:
        state = str(int(muted))
        point = {"mute-point": "PostFader,Listen,Main"}
        SubElement(route, "MuteMaster", point, muted=state)
        SubElement(route, "Controllable", name="mute", id=self._next(), flags="Toggle,RealTime", value=state)

    def _add_processors(self, route: Element, title: str, *, is_track: bool) -> None:
        def processor(name: str, kind: str, **attributes: str) -> Element:
            return SubElement(
                route, "Processor", attributes, id=self._next(), name=name, active="1", type=kind
            )

        if is_track:
            processor(f"recorder:{title}", "diskwriter").set("record-safe", "0")
            processor(f"player:{title}", "diskreader")
        amp = processor("Amp", "amp")
        SubElement(amp, "Controllable", name="gaincontrol", id=self._next(), flags="GainLike", value="1")
        processor(f"meter-{title}", "meter")
        outs = processor(title, "main-outs", output=title, role="Main")
        outs.set("own-input", "1")
        outs.set("own-output", "0")
        straight = {"user-panner": "", "linked-to-route": "1"}
        SubElement(outs, "PannerShell", straight, bypassed="1")

    def _add_group(self, groups: Element, routes: Element) -> None:
        if not self._session.grouped:
            return
        name = plain_text(self._session.name)
        group = SubElement(groups, "RouteGroup", id=self._next(), name=name, hidden="0", active="1")
        group.set("relative", "1")
        members = (route.get("id", "") for route in routes if route.get("route-group"))
        group.set("routes", " ".join(members))
        for shared in _GROUPED_BY:
            # Soloing, muting or colouring one stem must not do it to all: the group only holds them together.
            group.set(shared, str(int(shared in ("select", "route-active", "recenable"))))

    def _add_tempo(self, root: Element) -> None:
        session = self._session
        tempo = repr(session.tempo_bpm or _DEFAULT_TEMPO)
        unit = str(session.beat_unit)
        start = {"sclock": "0", "quarters": "0:0", "bbt": "1|1|0"}
        tempo_map = SubElement(root, "TempoMap")
        tempo_map.set("superclocks-per-second", str(_CLOCK_HZ))
        line = SubElement(SubElement(tempo_map, "Tempos"), "Tempo", start, npm=tempo, enpm=tempo)
        for name, value in {"note-type": "4", "type": "Tempo::Constant", "active": "1", "omega": "0"}.items():
            line.set(name, value)
        line.set("locked-to-meter", "0")
        line.set("continuing", "0")
        metre = SubElement(SubElement(tempo_map, "Meters"), "Meter", start)
        metre.set("note-value", unit)
        metre.set("divisions-per-bar", str(session.beats_per_bar))
        SubElement(tempo_map, "MusicTimes")


def _distinct_titles(session: Session) -> Iterator[str]:
    """Name routes: Ardour wants each name once, and takes ``:`` and ``/`` for parts of a port's name."""
    taken = {"Master", "session"}
    for track in session.tracks:
        title = plain_text(track.name).replace(":", "-").replace("/", "-") or "stem"
        number, candidate = 1, title
        while candidate in taken:
            number += 1
            candidate = f"{title} {number}"
        taken.add(candidate)
        yield candidate


def _rgba(colour: str) -> int:
    return int(colour[1:], 16) << 8 | 0xFF
