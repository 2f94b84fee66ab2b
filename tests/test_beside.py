"""What a render leaves beside its stems: time stamps, sessions, a page; and that it takes them back.

Tolerances: samples and places are exact; loudness in a time stamp is that of the record to its 0.005 LU.
"""

import dataclasses
import html
import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import wavinfo

from soundlasso.bridge import render_work
from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.export.beside import PresenceCurves, make_broadcast, sounds_of
from soundlasso.bridge.export.bext import Broadcast, read_broadcast
from soundlasso.bridge.export.page import clock
from soundlasso.bridge.export.source_notes import SourceNotes
from soundlasso.bridge.presets.library import load_preset
from soundlasso.bridge.presets.rendering import render_preset
from soundlasso.bridge.render import render
from soundlasso.bridge.render_inputs import find_inputs
from soundlasso.bridge.render_plan import RenderSettings, plan_render
from soundlasso.dsp.errors import AudioFileError, SoundlassoError
from soundlasso.models.separator import Separator
from soundlasso.models.stream import SeparationStream
from tests.signals import noise, sine
from tests.test_source_notes import acid_chunk, chunk, cue_chunks

RATE, LENGTH = 22050, 22050
START_S, LENGTH_S = 0.25, 0.5
HOUR = 3600 * RATE
ALL: Any = ("dawproject", "rpp", "ardour")


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    audio = noise(2, LENGTH, level=0.05) + sine(700, RATE, LENGTH, level=0.3)
    soundfile.write(path, audio.T, RATE, subtype="PCM_24")
    return path


@pytest.fixture
def noted(mix: Path) -> Path:
    """Give the mix the notes of a recorder: it began at one o'clock, at 97.5 beats a minute."""
    stamp = Broadcast(
        "scene 3", "recorder", "ref", "2026-11-22", "01:00:00", HOUR, b"\7" * 64, history="A=PCM\r\n"
    )
    data = mix.read_bytes() + chunk(b"bext", stamp.to_bytes()) + acid_chunk() + cue_chunks()
    mix.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    return mix


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_stems_are_stamped_with_query_time_and_loudness(tmp_path: Path, noted: Path) -> None:
    result = render(noted, ["drums", "a flûte"], tmp_path / "out", start_s=START_S, length_s=LENGTH_S)
    assert result.rest is not None
    for part, said in zip((*result.stems, result.rest), ("drums", "a flute", "rest"), strict=True):
        bext: Any = wavinfo.WavInfoReader(str(part.path)).bext
        assert (bext.description, bext.originator, bext.originator_ref) == (said, "soundlasso", "ref")
        assert (bext.originator_date, bext.originator_time) == ("2026-11-22", "01:00:00")
        assert bext.time_reference == HOUR + round(START_S * RATE)
        assert bext.coding_history.startswith("A=PCM\r\nA=PCM,F=22050,W=32,M=stereo,T=soundlasso")
        if np.isfinite(part.loudness_lufs):
            assert bext.loudness_value == pytest.approx(part.loudness_lufs, abs=0.0051)


def test_a_mix_without_a_time_begins_at_zero(tmp_path: Path, mix: Path) -> None:
    render(mix, "drums", tmp_path / "out", start_s=START_S)
    stamp = read_broadcast(tmp_path / "out" / "song - drums.wav", "WAV")
    assert stamp is not None
    assert (stamp.time_reference_samples, stamp.date) == (round(START_S * RATE), "")


@pytest.mark.parametrize(
    ("of_input", "start_s", "of_stem"),
    [(2**64 - 1, 0.0, 2**64 - 1), (2**64 - 1, START_S, round(START_S * RATE)), (2**53 + 1, 0.0, 2**53 + 1)],
)
def test_any_time_of_the_input_is_kept_exactly_or_dropped_where_it_does_not_fit(
    mix: Path, of_input: int, start_s: float, of_stem: int
) -> None:
    plan = plan_render(mix, ["drums"], "out", RenderSettings(start_s=start_s))
    notes = SourceNotes(Broadcast(time_reference_samples=of_input))
    stamp = Broadcast.from_bytes(make_broadcast(plan, notes, "drums").to_bytes())
    assert stamp is not None and stamp.time_reference_samples == of_stem


def test_rendering_twice_gives_the_same_files(tmp_path: Path, noted: Path) -> None:
    for name in ("one", "two"):
        render(noted, "drums", tmp_path / name, length_s=0.3, sessions=ALL, report=True)
    for name in names(tmp_path / "one"):
        if not name.endswith((".json", ".html")):  # these tell how long it took
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_region_stands_in_its_place_with_tempo_and_markers(tmp_path: Path, noted: Path) -> None:
    render(noted, "drums", tmp_path / "out", start_s=START_S, length_s=LENGTH_S, sessions=["dawproject"])
    with zipfile.ZipFile(tmp_path / "out" / "song.dawproject") as archive:
        project = ElementTree.fromstring(archive.read("project.xml"))
    clips = {clip.get("name"): clip for clip in project.iter("Clip")}
    assert list(clips) == ["drums", "rest", "song"]
    assert [float(clip.get("time", "")) for clip in clips.values()] == [
        pytest.approx(round(START_S * RATE) / RATE),
        pytest.approx(round(START_S * RATE) / RATE),
        0,
    ]
    assert float(clips["song"].get("duration", "")) == LENGTH / RATE
    tempo = project.find("Transport/Tempo")
    assert tempo is not None and tempo.get("value") == "97.5"
    marks = [mark.get("name") for mark in project.iter("Marker")]
    assert marks == ["verse", "Brücke", "marker 3", "outside"]


def test_everything_is_listed_and_nothing_taken_for_a_mix(tmp_path: Path, mix: Path) -> None:
    render(mix, "drums", tmp_path / "out", length_s=0.3, sessions=ALL, report=True)
    record = json.loads((tmp_path / "out" / "song.soundlasso.json").read_text(encoding="utf-8"))
    assert sorted(record["files"]) == [name for name in names(tmp_path / "out") if not name.endswith(".json")]
    assert {"song.dawproject", "song.rpp", "song (Ardour)/song.ardour"} <= set(record["files"])
    assert [found.path for found in find_inputs([str(tmp_path)], tmp_path / "out")] == [mix]


def test_a_session_that_its_daw_changed_is_kept_when_skipping(tmp_path: Path, mix: Path) -> None:
    arguments: Any = {"length_s": 0.3, "sessions": ["rpp"], "existing": "skip"}
    render(mix, "drums", tmp_path / "out", **arguments)
    session = tmp_path / "out" / "song.rpp"
    session.write_text("mixed for hours", encoding="utf-8")
    assert render(mix, "drums", tmp_path / "out", **arguments).skipped
    assert session.read_text(encoding="utf-8") == "mixed for hours"
    with pytest.raises(SoundlassoError, match="exists already"):
        render(mix, "drums", tmp_path / "out", sessions=["rpp"])


@pytest.mark.parametrize("stage", ["write_report", "write_manifest"])
def test_a_failure_takes_everything_back(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def fail(*arguments: object) -> None:
        raise AudioFileError("the disk is full")

    monkeypatch.setattr(render_work, stage, fail)
    with pytest.raises(AudioFileError, match="full"):
        render(mix, "drums", tmp_path / "out", length_s=0.3, sessions=ALL, report=True)
    assert names(tmp_path / "out") == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_was_there_is_not_taken_back(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "out" / "song (Ardour)" / "precious.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("precious", encoding="utf-8")

    def fail(*arguments: object) -> None:
        raise AudioFileError("the disk is full")

    monkeypatch.setattr(render_work, "write_manifest", fail)
    with pytest.raises(AudioFileError, match="full"):
        render(mix, "drums", tmp_path / "out", length_s=0.3, sessions=["ardour"])
    assert kept.exists()


def test_flac_stems_have_sessions_without_stamps(tmp_path: Path, mix: Path) -> None:
    render(mix, "drums", tmp_path / "out", format="flac", length_s=0.3, sessions=["rpp"])
    text = (tmp_path / "out" / "song.rpp").read_text(encoding="utf-8")
    assert re.findall(r"<SOURCE (\w+)", text) == ["FLAC", "FLAC", "WAVE"]
    assert '"../song.wav"' in text


def test_an_unknown_session_is_refused_at_once(tmp_path: Path, mix: Path) -> None:
    with pytest.raises(SoundlassoError, match="no session 'als'"):
        render(mix, "drums", tmp_path / "out", sessions=["als"])  # type: ignore[list-item]
    assert not (tmp_path / "out").exists()


def test_the_report_shows_what_is_in_the_record(tmp_path: Path, mix: Path) -> None:
    result = render(mix, ["drums", "<b>a & b</b>"], tmp_path / "out", start_s=START_S, report=True)
    page = (tmp_path / "out" / "song.soundlasso.html").read_text(encoding="utf-8")
    assert page.count("<audio ") == 4
    assert "<b>a" not in page and "&lt;b&gt;a &amp; b&lt;/b&gt;" in page
    assert f"{result.stems[0].presence:.0%}" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert len(result.presence_curves) == 2
    assert all(0 <= value <= 1 for curve in result.presence_curves for value in curve)


def test_a_result_shows_itself_in_a_notebook(tmp_path: Path, mix: Path) -> None:
    result = render(mix, "drums", tmp_path / "out", length_s=0.3)
    shown = result._repr_html_()
    assert shown.startswith("<iframe") and "&lt;audio" in shown and "<script" not in shown


def test_a_notebook_shows_the_part_of_the_mix_that_was_rendered(tmp_path: Path, mix: Path) -> None:
    for existing in ("refuse", "skip"):
        result = render(
            mix,
            "drums",
            tmp_path / "out",
            start_s=START_S,
            length_s=LENGTH_S,
            existing=existing,  # type: ignore[arg-type]
        )
        whole, *stems = sounds_of(result)
        expected = read_audio(mix)[0][:, round(START_S * RATE) :][:, : round(LENGTH_S * RATE)]
        np.testing.assert_array_equal(np.concatenate(list(whole.blocks()), axis=1), expected)
        assert {sound.frames for sound in stems} == {whole.frames}
        assert result.start_s == round(START_S * RATE) / RATE
        begun, ended = clock(result.start_s), clock(result.start_s + result.seconds)
        assert html.unescape(result._repr_html_()).count(f"<span>{begun}</span><span>{ended}</span>") == 3


def test_presence_keeps_its_time_and_ends_with_the_mix() -> None:
    curves = PresenceCurves()
    for values in ((0.0, 0.5), (), (1.0, 0.25, 0.75)):
        curves.take(np.array([values, [1 - value for value in values]]))
    curves.end(0.4, 10.0)
    assert curves.curves() == ((0.0, 0.5, 1.0, 0.25), (1.0, 0.5, 0.0, 0.75))
    assert curves.means() == (0.4375, 0.5625)


def test_presence_is_fine_and_its_size_bounded(tmp_path: Path, mix: Path) -> None:
    result = render(mix, ["drums", "a voice"], tmp_path / "out")
    assert all(len(curve) >= result.seconds / 0.1 for curve in result.presence_curves)
    means = [np.mean(curve) for curve in result.presence_curves]
    assert [stem.presence for stem in result.stems] == pytest.approx(means, abs=1e-4)
    curves = PresenceCurves()
    curves.take(np.linspace(0, 1, 100_000)[None])
    curves.end(10_000, 10.0)
    (curve,) = curves.curves()
    assert len(curve) == 3600 and curve == tuple(sorted(curve))


@pytest.mark.parametrize("size", [509, 30_000])
def test_presence_is_the_same_for_any_blocks(size: int, lariat: Separator) -> None:
    audio, heard = noise(1, LENGTH, level=0.1), []
    stream = SeparationStream(lariat, ["drums", "wind"], RATE, 1)
    for start in range(0, LENGTH, size):
        stream.process(audio[:, start : start + size])
        heard.append(stream.take_presence())
    stream.flush()
    heard.append(stream.take_presence())
    whole = SeparationStream(lariat, ["drums", "wind"], RATE, 1)
    whole.process(audio)
    whole.flush()
    found = np.concatenate(heard, axis=1)
    np.testing.assert_allclose(found, whole.take_presence(), atol=1e-6)
    assert found.shape[1] >= LENGTH / RATE * stream.frame_rate
    assert whole.take_presence().shape == (2, 0)


@pytest.mark.parametrize(("sessions", "count"), [(["ardour", "rpp"], 1), (["rpp"], 0)])
def test_a_rate_that_ardour_does_not_play_is_told(
    tmp_path: Path, mix: Path, sessions: Any, count: int
) -> None:
    result = render(mix, "drums", tmp_path / "out", length_s=0.3, sessions=sessions)
    assert len(result.warnings) == count
    assert all("Ardour may play nothing of a session at 22050 Hz" in told for told in result.warnings)


def test_a_preset_of_another_rate_stamps_at_that_rate(tmp_path: Path, noted: Path) -> None:
    preset = load_preset("call-centre")
    output = dataclasses.replace(preset.output, sessions=("rpp",), format="wav", report=True)
    result = render_preset(
        noted, dataclasses.replace(preset, output=output), tmp_path / "out", start_s=START_S
    )
    rate = result.sample_rate
    assert rate != RATE
    part = next(part for part in result.parts if part.path is not None)
    stamp = read_broadcast(Path(str(part.path)), "WAV")
    assert stamp is not None
    assert stamp.time_reference_samples == round((HOUR + round(START_S * RATE)) * rate / RATE)
    assert read_audio(Path(str(part.path)))[1] == rate
    assert "song.wav" not in (tmp_path / "out" / "song.rpp").read_text(encoding="utf-8")


def test_the_report_says_what_a_preset_did_with_each_sound(tmp_path: Path, mix: Path) -> None:
    preset = load_preset("podcast", ["output.report=true", "stem.voice.pan=0.25"])
    render_preset(mix, preset, tmp_path / "out", length_s=0.5)
    (page,) = (tmp_path / "out").glob("*.html")
    text = page.read_text(encoding="utf-8")
    for told in (
        "Stem &#x27;voice&#x27;", "query a person talking", "pan 0.25",
        "effect Compressor, threshold_db -24, ratio 3",
        "HighpassFilter, cutoff_frequency_hz 80 \u2192 effect PeakFilter", "Rest in the mix", "duck_db -18",
        "loudness_lufs -16",
    ):  # fmt: skip
        assert told in text, told
