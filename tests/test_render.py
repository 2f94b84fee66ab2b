"""Rendering files: with lariat itself, on short real-format files.

Tolerances: the rendered stems equal `separate` on the whole array to 1e-6 of full scale; float files null
to -120 dBFS, integer files exactly.
"""

import inspect
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.events import Event
from soundlasso.bridge.render import render
from soundlasso.bridge.render_inputs import find_inputs
from soundlasso.bridge.render_plan import RenderSettings, plan_render
from soundlasso.dsp.errors import SoundlassoError
from soundlasso.dsp.metrics import null_depth_db
from soundlasso.models.offline import separate
from tests.render_helpers import LENGTH, QUERIES, RATE, mixture, names, write_mix

NULL_DB = -120.0
SAME = 1e-6


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    return write_mix(tmp_path)


def test_stems_have_the_shape_of_the_mix_and_add_up_to_it(tmp_path: Path, mix: Path) -> None:
    result = render(mix, QUERIES, tmp_path / "out")
    assert names(tmp_path / "out") == [
        "song - a flute.wav",
        "song - drums.wav",
        "song - rest.wav",
        "song.soundlasso.json",
    ]
    assert result.rest is not None
    paths = [stem.path for stem in (*result.stems, result.rest)]
    parts = [read_audio(path) for path in paths if path is not None]
    assert all(rate == RATE and audio.shape == (2, LENGTH) for audio, rate in parts)
    assert null_depth_db(mixture(), np.stack([audio for audio, _ in parts])) <= NULL_DB
    assert result.null_db is not None
    assert result.null_db <= NULL_DB


@pytest.mark.parametrize("gate", [True, False])
def test_the_files_are_what_separate_gives(tmp_path: Path, mix: Path, gate: bool) -> None:
    result = render(mix, QUERIES, tmp_path / "out", gate=gate)
    expected = separate(mixture(), RATE, list(QUERIES), gate=gate)
    for stem, wanted in zip(result.stems, expected, strict=True):
        assert stem.path is not None
        np.testing.assert_allclose(read_audio(stem.path)[0], wanted, atol=SAME)


@pytest.mark.parametrize(("subtype", "format"), [("PCM_16", "wav"), ("PCM_24", "wav"), ("PCM_16", "flac")])
def test_integer_files_add_up_exactly(tmp_path: Path, subtype: str, format: str) -> None:
    mix = write_mix(tmp_path, subtype=subtype)
    result = render(mix, QUERIES, tmp_path / "out", format=format, subtype="same", consistent=True)
    assert result.rest is not None
    parts = [read_audio(stem.path)[0] for stem in (*result.stems, result.rest) if stem.path is not None]
    np.testing.assert_array_equal(np.sum(parts, axis=0, dtype=np.float64), read_audio(mix)[0])
    assert result.null_db == -np.inf
    assert soundfile.info(tmp_path / "out" / f"song - rest.{format}").subtype == subtype


def test_a_region_is_rendered_at_its_length(tmp_path: Path, mix: Path) -> None:
    result = render(mix, "drums", tmp_path / "out", start_s=0.5, length_s=0.25)
    length = round(0.25 * RATE)
    assert result.seconds == length / RATE
    parts = [read_audio(tmp_path / "out" / f"song - {name}.wav")[0] for name in ("drums", "rest")]
    region = mixture()[:, RATE // 2 : RATE // 2 + length]
    assert null_depth_db(region, np.stack(parts)) <= NULL_DB


def test_removing_leaves_only_the_rest(tmp_path: Path, mix: Path) -> None:
    result = render(mix, QUERIES, tmp_path / "out", remove=True)
    assert names(tmp_path / "out") == ["song - rest.wav", "song.soundlasso.json"]
    assert [stem.path for stem in result.stems] == [None, None]
    stems = separate(mixture(), RATE, list(QUERIES), consistent=True)
    rest = read_audio(tmp_path / "out" / "song - rest.wav")[0]
    np.testing.assert_allclose(rest, mixture() - stems.sum(axis=0), atol=2 * SAME)


def test_no_rest_writes_none(tmp_path: Path, mix: Path) -> None:
    result = render(mix, "drums", tmp_path / "out", rest=False)
    assert names(tmp_path / "out") == ["song - drums.wav", "song.soundlasso.json"]
    assert result.rest is None
    assert result.null_db is None


@pytest.mark.parametrize("channels", [1, 6])
def test_channels_stay(tmp_path: Path, channels: int) -> None:
    mix = write_mix(tmp_path, channels=channels)
    render(mix, "drums", tmp_path / "out", length_s=0.3)
    assert soundfile.info(tmp_path / "out" / "song - drums.wav").channels == channels


def test_clipping_is_counted_and_told(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, 40 * mixture().T, RATE, subtype="FLOAT")
    events: list[Event] = []
    result = render(path, "drums", tmp_path / "out", subtype="PCM_16", progress=events.append)
    assert result.rest is not None
    assert result.stems[0].clipped_samples + result.rest.clipped_samples > 0
    assert any("samples; FLOAT would keep them" in warning for warning in result.warnings)
    assert [event.message for event in events if event.event == "warning"] == result.warnings


def test_lossy_files_claim_no_null(tmp_path: Path, mix: Path) -> None:
    result = render(mix, "drums", tmp_path / "out", format="ogg", length_s=0.2)
    assert result.rest is not None
    assert result.null_db is None


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, mix: Path) -> None:
    for folder in ("a", "b"):
        render(mix, QUERIES, tmp_path / folder, length_s=0.5)
    for name in ("song - drums.wav", "song - rest.wav"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_events_tell_the_whole_story(tmp_path: Path, mix: Path) -> None:
    events: list[Event] = []
    render(mix, "drums", tmp_path / "out", progress=events.append, plot=True)
    kinds = [kind for kind, _ in itertools.groupby(event.event for event in events)]
    assert kinds == ["stage", "progress", "stage", "stem", "stage", "done"]
    assert [event.stage for event in events if event.stage] == [
        "load",
        "read",
        "separate",
        "write",
        "picture",
    ]
    fractions = [event.fraction for event in events if event.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert (tmp_path / "out" / "song.soundlasso.png").exists()


def test_stems_that_collide_are_numbered_and_the_rest_keeps_its_name(mix: Path) -> None:
    plan = plan_render(mix, ["Violin", "violin", "rest", "a/b", "a:b"], "out", RenderSettings())
    assert [path.name for path in plan.audio_files] == [
        "song - Violin.wav",
        "song - violin (2).wav",
        "song - rest (2).wav",
        "song - a_b.wav",
        "song - a_b (2).wav",
        "song - rest.wav",
    ]


@pytest.mark.parametrize(
    ("queries", "settings"),
    [(["drums"], {"rest": False}), (["drums"], {"remove": True}), (["drums", "a voice"], {"remove": True})],
)
def test_a_single_file_keeps_the_name_it_is_given(
    mix: Path, queries: list[str], settings: dict[str, Any]
) -> None:
    plan = plan_render(mix, queries, "out", RenderSettings(name="{mix} alone", **settings))
    assert [path.name for path in plan.audio_files] == ["song alone.wav"]
    assert len(plan.stems) == len(queries)


def test_render_and_settings_agree_on_defaults() -> None:
    parameters = inspect.signature(render).parameters
    for field, default in vars(RenderSettings()).items():
        assert field == "preset" or parameters[field].default == default


def test_folders_and_patterns_are_searched(tmp_path: Path) -> None:
    for name in ("b/two.wav", "a.wav", "b/.hidden.wav", "b/notes.txt", ".trash/three.wav"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    folder, out = str(tmp_path / "in"), Path("out")
    found = find_inputs([folder, f"{folder}/*.wav", "missing.wav"], out)
    assert [(mix.path.name, mix.out) for mix in found] == [
        ("a.wav", out),
        ("two.wav", out / "b"),
        ("missing.wav", out),
    ]
    long = "n" * 300
    assert find_inputs([long], out)[0].path == Path(long)  # its error is told with the others'
    for nothing in (f"{folder}/*.flac", str(tmp_path / "in" / "b" / "none*")):
        with pytest.raises(SoundlassoError, match="no audio file in"):
            find_inputs([nothing], out)


def test_a_folder_that_cannot_be_searched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may search anywhere
    with pytest.raises(SoundlassoError, match=r"cannot search the folder .*: Permission denied"):
        find_inputs([str(tmp_path)], tmp_path)
