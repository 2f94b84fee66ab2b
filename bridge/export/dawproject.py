"""`.dawproject`, the open exchange format: a zip of two XML files and the audio.

The audio is packed in, not referred to: every program that reads the format finds it there, and the one
file can be sent to somebody.  Reference: Bitwig, DAWproject 1.0, ``Project.xsd`` and ``MetaData.xsd``.
"""

import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from soundlasso.bridge.audiofile_write import replacing
from soundlasso.bridge.export.session import Session, Track, plain_text
from soundlasso.bridge.naming import make_distinct, safe_name

_MASTER = "master"
_COPY_BYTES = 1 << 20
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: equal sessions are equal files


def write_dawproject(session: Session, path: Path) -> list[Path]:
    """Write a project with its audio inside; parameters and errors as `write_session`."""
    packed = dict(zip(session.tracks, _names(session), strict=True))
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry("project.xml"), _to_bytes(_project(session, packed)))
        archive.writestr(_entry("metadata.xml"), _to_bytes(_metadata(session)))
        for track, name in packed.items():
            entry = _entry(name)
            entry.compress_type = zipfile.ZIP_STORED  # sound does not shrink, and a DAW may seek in it
            entry.file_size = track.path.stat().st_size
            with track.path.open("rb") as source, archive.open(entry, "w") as target:
                while block := source.read(_COPY_BYTES):
                    target.write(block)
    return [path]


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _FIRST_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _names(session: Session) -> Iterator[str]:
    from pathlib import PurePosixPath

    bases = (PurePosixPath("audio", safe_name(track.path.stem)) for track in session.tracks)
    for track, base in zip(session.tracks, make_distinct(bases), strict=True):
        yield f"{base}{track.path.suffix}"


def _to_bytes(root: Element) -> bytes:
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _metadata(session: Session) -> Element:
    root = Element("MetaData")
    SubElement(root, "Title").text = plain_text(session.name)
    return root


def _project(session: Session, packed: dict[Track, str]) -> Element:
    root = Element("Project", version="1.0")
    SubElement(root, "Application", name="soundlasso", version=version("soundlasso"))
    if session.tempo_bpm is not None:
        transport = SubElement(root, "Transport")
        SubElement(transport, "Tempo", unit="bpm", value=repr(session.tempo_bpm), id="tempo")
        metre = {"numerator": str(session.beats_per_bar), "denominator": str(session.beat_unit)}
        SubElement(transport, "TimeSignature", metre, id="metre")
    _add_structure(root, session)
    _add_arrangement(root, session, packed)
    return root


def _add_structure(root: Element, session: Session) -> None:
    structure = SubElement(root, "Structure")
    ids = {track: f"track{index}" for index, track in enumerate(session.tracks)}
    if session.grouped:
        group = SubElement(
            structure, "Track", contentType="tracks", loaded="true", id="group", name=plain_text(session.name)
        )
        _add_channel(group, "group", session.channels, _MASTER, "submix")
        for track in session.grouped:
            _add_track(group, track, ids[track], "group")
    for track in session.alone:
        _add_track(structure, track, ids[track], _MASTER)
    master = SubElement(
        structure, "Track", contentType="audio notes", loaded="true", id=_MASTER, name="Master"
    )
    _add_channel(master, _MASTER, session.channels, None, "master")


def _add_track(parent: Element, track: Track, identity: str, destination: str) -> None:
    names = {"name": plain_text(track.name), "color": track.colour}
    element = SubElement(parent, "Track", names, contentType="audio", loaded="true", id=identity)
    _add_channel(element, identity, track.channels, destination, "regular", muted=track.muted)


def _add_channel(
    parent: Element, identity: str, channels: int, destination: str | None, role: str, *, muted: bool = False
) -> None:
    goes_to = {} if destination is None else {"destination": f"{destination}-channel"}
    channel = SubElement(
        parent,
        "Channel",
        goes_to,
        audioChannels=str(channels),
        role=role,
        solo="false",
        id=f"{identity}-channel",
    )
    SubElement(channel, "Mute", value="true" if muted else "false", id=f"{identity}-mute", name="Mute")
    SubElement(
        channel, "Pan", max="1", min="0", unit="normalized", value="0.5", id=f"{identity}-pan", name="Pan"
    )
    SubElement(
        channel, "Volume", max="2", min="0", unit="linear", value="1", id=f"{identity}-volume", name="Volume"
    )


def _add_arrangement(root: Element, session: Session, packed: dict[Track, str]) -> None:
    arrangement = SubElement(root, "Arrangement", id="arrangement")
    lanes = SubElement(arrangement, "Lanes", timeUnit="seconds", id="lanes")
    for index, track in enumerate(session.tracks):
        lane = SubElement(lanes, "Lanes", track=f"track{index}", id=f"lane{index}")
        clips = SubElement(lane, "Clips", id=f"clips{index}")
        length = {"duration": repr(session.seconds(track.frames))}
        clip = SubElement(
            clips,
            "Clip",
            length,
            time=repr(session.seconds(track.start_samples)),
            contentTimeUnit="seconds",
            playStart="0.0",
            name=plain_text(track.name),
            color=track.colour,
        )
        shape = {"channels": str(track.channels), "sampleRate": str(session.sample_rate)}
        audio = SubElement(clip, "Audio", shape | length, id=f"audio{index}")
        SubElement(audio, "File", path=packed[track])
    if session.markers:
        markers = SubElement(arrangement, "Markers", timeUnit="seconds", id="markers")
        for marker in session.markers:
            time = repr(session.seconds(marker.position_samples))
            SubElement(markers, "Marker", time=time, name=plain_text(marker.name))
