"""Rendering files: with lariat itself, on short real-format files.

Tolerances: the rendered stems equal `separate` on the whole array to 1e-6 of full scale; float files null
to -120 dBFS, integer files exactly.
"""

import dataclasses
import hashlib
import inspect
import itertools
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge import picture, render_plan
from soundlasso.bridge import render as render_module
from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.events import Event
from soundlasso.bridge.manifest import describe_request, listed_outputs, read_manifest
from soundlasso.bridge.render import render
from soundlasso.bridge.render_inputs import find_inputs
from soundlasso.bridge.render_plan import RenderSettings, check_plans, plan_render
from soundlasso.dsp.errors import AudioFileError, Cancelled, QueryError, SoundlassoError, UnknownModelError
from soundlasso.dsp.metrics import null_depth_db
from soundlasso.models.offline import separate
from soundlasso.models.separator import load_model
from tests.signals import Audio, noise, sine

RATE = 22050
LENGTH = 40_001
NULL_DB = -120.0
SAME = 1e-6
QUERIES = ("drums", "a flute")


def mixture(channels: int = 2) -> Audio:
    audio = noise(channels, LENGTH, level=0.05)
    audio[:, 10_000:] += sine(700, RATE, LENGTH - 10_000, level=0.3)
    return audio


def write_mix(folder: Path, name: str = "song.wav", subtype: str = "FLOAT", channels: int = 2) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, mixture(channels).T, RATE, subtype=subtype)
    return path


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    return write_mix(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


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


def test_the_manifest_records_the_render(tmp_path: Path, mix: Path) -> None:
    result = render(mix, QUERIES, tmp_path / "out", length_s=1.0)
    manifest = read_manifest(result.manifest)
    assert manifest is not None
    assert manifest["mix"]["sha256"] == hashlib.sha256(mix.read_bytes()).hexdigest()
    assert manifest["queries"] == list(QUERIES)
    assert len(manifest["model"]["hash"]) >= 8
    assert {"load_s", "read_s", "separate_s", "write_s"} <= set(manifest["timings"])
    assert {"soundlasso", "python", "torch", "soundfile"} <= set(manifest["versions"])
    for stem, query in zip(manifest["stems"], QUERIES, strict=True):
        assert stem["query"] == query
        assert {"path", "peak_db", "loudness_lufs", "presence"} <= set(stem)
    assert sorted(listed_outputs(result.manifest)) == sorted(
        path for path in (tmp_path / "out").iterdir() if path.suffix == ".wav"
    )
    assert str(tmp_path) not in result.manifest.read_text(encoding="utf-8")


def test_skipping_trusts_only_an_equal_render(tmp_path: Path, mix: Path) -> None:
    out = tmp_path / "out"

    def again(queries: tuple[str, ...] = QUERIES, **settings: object) -> bool:
        return render(mix, queries, out, existing="skip", length_s=0.3, **settings).skipped  # type: ignore[arg-type]

    assert not again()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert again()
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert not again(gate=False)
    assert not again()
    assert not again(("a flute", "drums"))
    assert not again()
    os.truncate(out / "song - rest.wav", 100)
    assert not again()
    soundfile.write(mix, mixture().T * 0.5, RATE, subtype="FLOAT")
    assert not again()
    assert again()


def test_a_skipped_render_has_the_result_of_the_first(tmp_path: Path, mix: Path) -> None:
    first = render(mix, QUERIES, tmp_path / "out", length_s=0.3)
    second = render(mix, QUERIES, tmp_path / "out", length_s=0.3, existing="skip")
    assert second.skipped
    assert second.to_dict() == first.to_dict()


CHANGED: dict[str, object] = {
    "rest": False,
    "remove": True,
    "start_s": 0.1,
    "length_s": 0.25,
    "format": "flac",
    "subtype": "PCM_16",
    "name": "{query}",
    "stereo": "independent",
    "consistent": True,
    "avoid": ("a voice",),
    "gate": False,
}


@pytest.mark.parametrize("setting", CHANGED)
def test_every_setting_that_changes_a_sample_or_a_name_is_compared(mix: Path, setting: str) -> None:
    def request(settings: RenderSettings) -> object:
        plan = plan_render(mix, ["drums"], "out", settings)
        return describe_request(plan, "hash", load_model()), plan.audio_files

    assert request(RenderSettings(**{setting: CHANGED[setting]})) != request(RenderSettings())  # type: ignore[arg-type]


def test_every_setting_is_compared_or_known_to_change_nothing() -> None:
    same = {"plot", "report", "sessions", "existing", "device"}
    apart = {"model", "preset"}  # compared on their own
    assert {field.name for field in dataclasses.fields(RenderSettings)} == CHANGED.keys() | same | apart


def test_a_skipped_silent_render_nulls_as_the_first(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros((9000, 1)), RATE, subtype="FLOAT")
    results = [render(path, "drums", tmp_path / "out", existing="skip") for _ in range(2)]
    assert [result.null_db for result in results] == [-np.inf, -np.inf]
    assert results[1].skipped


def test_lossy_files_claim_no_null(tmp_path: Path, mix: Path) -> None:
    result = render(mix, "drums", tmp_path / "out", format="ogg", length_s=0.2)
    assert result.rest is not None
    assert result.null_db is None


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_mix_whose_name_is_no_utf8_is_rendered_and_skipped(tmp_path: Path, mix: Path) -> None:
    odd = mix.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    assert not render(odd, "drums", tmp_path / "out", length_s=0.2, existing="skip", plot=True).skipped
    assert names(tmp_path / "out")[0] == "caf_ - drums.wav"
    assert render(odd, "drums", tmp_path / "out", length_s=0.2, existing="skip").skipped


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


def test_an_old_record_never_vouches_for_new_files(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = render(mix, "drums", tmp_path / "out", length_s=0.2)

    def interrupt(old: str, new: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        render(mix, "drums", tmp_path / "out", length_s=0.2, gate=False, existing="overwrite")
    assert not first.manifest.exists()
    assert names(tmp_path / "out") == ["song - drums.wav", "song - rest.wav"]


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

    monkeypatch.setattr(picture if broken == "draw_render" else render_module, broken, fail)
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


@pytest.mark.parametrize("name", ["song.flac", "other.wav"])
def test_skipping_keeps_what_another_mix_gave(tmp_path: Path, mix: Path, name: str) -> None:
    out = tmp_path / "out"
    render(mix, "drums", out, length_s=0.2)
    before = (out / "song - rest.wav").read_bytes()
    other = write_mix(tmp_path / "other", name, "PCM_16")
    template = "song - {query}"
    with pytest.raises(AudioFileError, match="exists already"):
        render(other, "drums", out, existing="skip", name=template)
    assert (out / "song - rest.wav").read_bytes() == before


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
    with pytest.raises(SoundlassoError, match="would both become"):
        check_plans(plans)


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
        ({"remove": True, "rest": False}, SoundlassoError, "choose one"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_made(
    tmp_path: Path, mix: Path, settings: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        render(mix, out=tmp_path / "out", **{"queries": "drums", **settings})  # type: ignore[arg-type]
    assert names(tmp_path) == ["song.wav"]


def test_too_little_room_is_told_before_anything_is_made(
    tmp_path: Path, mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_plan, "choose_format", _year_long)
    with pytest.raises(AudioFileError, match="no space in"):
        render(mix, "drums", tmp_path / "out")
    assert names(tmp_path) == ["song.wav"]


def _year_long(*args: object, **kwargs: object) -> object:
    from soundlasso.bridge.audiofile_format import OutputFormat

    return OutputFormat("RF64", "FLOAT", 192_000, 2, 192_000 * 3600 * 24 * 365)


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


def test_stems_are_no_mixes_when_a_folder_is_searched_again(tmp_path: Path, mix: Path) -> None:
    render(mix, "drums", tmp_path / "stems", length_s=0.2)
    for argument in (str(tmp_path), f"{tmp_path}/**/*.wav", f"{tmp_path}/*"):
        assert [found.path for found in find_inputs([argument], tmp_path / "stems")] == [mix]


@pytest.mark.parametrize("record", ["[" * 100_000, "[]", "{", '{"layout": 1}'])
def test_a_damaged_record_lists_nothing(tmp_path: Path, mix: Path, record: str) -> None:
    (tmp_path / "song.soundlasso.json").write_text(record)
    assert [found.path for found in find_inputs([str(tmp_path)], tmp_path)] == [mix]


def test_a_folder_that_cannot_be_searched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may search anywhere
    with pytest.raises(SoundlassoError, match=r"cannot search the folder .*: Permission denied"):
        find_inputs([str(tmp_path)], tmp_path)


def test_json_has_the_promised_keys_and_no_infinity(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros((9000, 1)), RATE, subtype="FLOAT")
    told = json.loads(json.dumps(render(path, "drums", tmp_path / "out").to_dict(), allow_nan=False))
    assert list(told) == [
        "mix", "model", "sample_rate", "channels", "seconds", "realtime_factor", "latency_samples", "stems",
        "rest", "null_db",
    ]  # fmt: skip
    assert list(told["stems"][0]) == ["query", "path", "peak_db", "presence"]
    assert told["stems"][0]["peak_db"] == -200
    assert told["null_db"] == -200
