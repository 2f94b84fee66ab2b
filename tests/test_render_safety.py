"""Renders that cannot be, or that are ended: told before anything is made, and nothing is left half done."""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge import picture, render_plan, render_work
from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.audiofile_write import FORGOTTEN_S
from soundlasso.bridge.events import Event
from soundlasso.bridge.render import render
from soundlasso.bridge.render_plan import RenderSettings, check_plans, plan_render
from soundlasso.dsp.errors import AudioFileError, Cancelled, QueryError, SoundlassoError, UnknownModelError
from tests.render_helpers import QUERIES, RATE, mixture, names, write_mix


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    return write_mix(tmp_path)


def test_cancelling_leaves_nothing(tmp_path: Path, mix: Path) -> None:
    cancel = threading.Event()

    def stop_when_separating(event: Event) -> None:
        if event.event == "progress":
            cancel.set()

    with pytest.raises(Cancelled, match="nothing of it is left"):
        render(mix, QUERIES, tmp_path / "out", progress=stop_when_separating, cancel=cancel)
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("stage", ["separate", "write"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, mix: Path, stage: str) -> None:
    def interrupt(event: Event) -> None:
        if event.stage == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(mix, QUERIES, tmp_path / "out", progress=interrupt, length_s=0.2)
    assert names(tmp_path / "out") == []


def test_what_a_killed_run_left_goes_a_day_later_and_what_is_being_written_stays(
    tmp_path: Path, mix: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    ages_s = {
        ".soundlasso-1-a.part": FORGOTTEN_S + 60,
        ".soundlasso-2-b.part": FORGOTTEN_S - 60,
        ".soundlasso-3-c.wav": 10 * FORGOTTEN_S,
        ".another-1-a.part": 10 * FORGOTTEN_S,
        "song.part": 10 * FORGOTTEN_S,
    }
    for name, age_s in ages_s.items():
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, times=(time.time() - age_s, time.time() - age_s))
    render(mix, QUERIES, folder, length_s=0.2)
    kept = {path.name for path in folder.iterdir()} & set(ages_s)
    assert kept == set(ages_s) - {".soundlasso-1-a.part"}


def test_a_bad_sample_far_in_leaves_nothing(tmp_path: Path) -> None:
    audio = mixture()
    audio[0, 39_000] = np.nan
    path = tmp_path / "bad.wav"
    soundfile.write(path, audio.T, RATE, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="nan in channel 0, sample 39000"):
        render(path, "drums", tmp_path / "out")
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("broken", ["draw_render", "write_manifest"])
def test_a_failure_after_the_stems_takes_them_back(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*arguments: object) -> None:
        assert (tmp_path / "out" / "song - rest.wav").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(picture if broken == "draw_render" else render_work, broken, fail)
    with pytest.raises(KeyboardInterrupt):
        render(mix, "drums", tmp_path / "out", length_s=0.2, plot=True)
    assert names(tmp_path / "out") == []


def test_what_is_there_is_never_lost(tmp_path: Path, mix: Path) -> None:
    precious = tmp_path / "out" / "song - rest.wav"
    precious.parent.mkdir()
    precious.write_text("precious")
    for existing in ("refuse", "skip"):
        with pytest.raises(SoundlassoError, match="exists already"):
            render(mix, "drums", tmp_path / "out", existing=existing)  # type: ignore[arg-type]
    assert precious.read_text() == "precious"
    assert names(tmp_path / "out") == ["song - rest.wav"]
    render(mix, "drums", tmp_path / "out", existing="overwrite", length_s=0.2)
    assert read_audio(precious)[0].shape[0] == 2


@pytest.mark.parametrize("place", ["song.wav", "song.wav/in", "n" * 300])
def test_a_place_where_no_folder_can_be_is_refused_before_anything_is_made(
    tmp_path: Path, mix: Path, place: str
) -> None:
    with pytest.raises(AudioFileError, match="cannot make"):
        check_plans([plan_render(mix, ["drums"], tmp_path / place, RenderSettings())])


def test_a_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(AudioFileError, match="no file may be made in"):
        render(mix, "drums", tmp_path / "out")


def test_what_may_be_skipped_needs_no_room_until_it_is_not(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(mix, "drums", tmp_path / "out")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 0))  # type: ignore[attr-defined]
    assert render(mix, "drums", tmp_path / "out", existing="skip").skipped
    with pytest.raises(AudioFileError, match="no space in"):
        render(mix, "drums", tmp_path / "out", existing="skip", gate=False)


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    mix, other = write_mix(tmp_path), write_mix(tmp_path, "song - rest.wav")
    plan = plan_render(mix, ["drums"], tmp_path, RenderSettings(existing="overwrite"))
    with pytest.raises(SoundlassoError, match="is an input"):
        check_plans([plan], [other])


def test_mixes_that_would_become_one_file_are_refused(tmp_path: Path) -> None:
    settings = RenderSettings()
    plans = [
        plan_render(write_mix(tmp_path / folder, name), ["drums"], tmp_path / "out", settings)
        for folder, name in (("a", "Song.wav"), ("b", "song.wav"))
    ]
    with pytest.raises(SoundlassoError, match=r"song - drums\.wav', as would '.*Song\.wav'; render one"):
        check_plans(plans)


def test_mixes_with_long_names_that_differ_at_the_end_are_rendered_side_by_side(tmp_path: Path) -> None:
    plans = [
        plan_render(
            write_mix(tmp_path, f"{'音' * 30} {part}.wav"),
            ["drums"],
            tmp_path / "out",
            RenderSettings(),
        )
        for part in (1, 2)
    ]
    check_plans(plans)
    assert not set(plans[0].files) & set(plans[1].files)


def test_another_mix_does_not_replace_what_one_of_the_same_name_gave(tmp_path: Path, mix: Path) -> None:
    other = write_mix(tmp_path / "other", "song.flac", "PCM_16")
    render(mix, "drums", tmp_path / "out", length_s=0.2)
    before = (tmp_path / "out" / "song - rest.wav").read_bytes()
    with pytest.raises(AudioFileError, match=r"is of another mix, 'song\.wav'; render 'song\.flac' into"):
        render(other, "drums", tmp_path / "out", existing="overwrite")
    assert (tmp_path / "out" / "song - rest.wav").read_bytes() == before
    render(mix, "drums", tmp_path / "out", existing="overwrite", length_s=0.1)


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"queries": []}, QueryError, "no query"),
        ({"queries": ["drums", " drums "]}, QueryError, "given twice"),
        ({"queries": "x" * 301}, QueryError, "301"),
        ({"avoid": ["  "]}, QueryError, "empty"),
        ({"avoid": ["drums "]}, QueryError, "both asked for and to be avoided"),
        ({"format": "flac", "subtype": "FLOAT"}, SoundlassoError, "flac does not hold 'FLOAT'"),
        ({"start_s": 1e305}, SoundlassoError, "cannot start at 1e\\+305 s"),
        ({"name": "{{query}}"}, SoundlassoError, r"add \{query\}"),
        ({"model": "larait"}, UnknownModelError, "did you mean 'lariat'"),
        ({"format": "mp3"}, SoundlassoError, "no output format 'mp3'"),
        ({"subtype": "PCM_8"}, SoundlassoError, "no sample format 'PCM_8'"),
        ({"stereo": "mono"}, SoundlassoError, "no stereo 'mono'"),
        ({"start_s": -1.0}, SoundlassoError, "cannot start at -1.0 s"),
        ({"start_s": float("nan")}, SoundlassoError, "cannot start at nan s"),
        ({"length_s": 0.0}, SoundlassoError, "cannot render a length"),
        ({"name": "{mix}"}, SoundlassoError, r"add \{query\}"),
        ({"name": "{mux}"}, SoundlassoError, r"did you mean \{mix\}"),
        ({"remove": True, "rest": False}, SoundlassoError, r"\(--remove\) .* \(--no-rest\) .*choose one"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_made(
    tmp_path: Path, mix: Path, settings: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        render(mix, out=tmp_path / "out", **{"queries": "drums", **settings})  # type: ignore[arg-type]
    assert names(tmp_path) == ["song.wav"]


def _year_long(*args: object, **kwargs: object) -> object:
    from soundlasso.bridge.audiofile_format import OutputFormat

    return OutputFormat("RF64", "FLOAT", 192_000, 2, 192_000 * 3600 * 24 * 365)


def test_too_little_room_is_told_before_anything_is_made(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_plan, "choose_format", _year_long)
    with pytest.raises(AudioFileError, match="no space in"):
        render(mix, "drums", tmp_path / "out")
    assert names(tmp_path) == ["song.wav"]
