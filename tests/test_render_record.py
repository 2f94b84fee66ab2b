"""What a render records, and when the record lets a later render be skipped."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.automation import Change
from soundlasso.bridge.manifest import describe_request, listed_outputs, read_manifest
from soundlasso.bridge.render import render
from soundlasso.bridge.render_inputs import find_inputs
from soundlasso.bridge.render_plan import RenderSettings, plan_render
from soundlasso.dsp.errors import AudioFileError
from soundlasso.models.separator import load_model
from tests.render_helpers import QUERIES, RATE, mixture, names, write_mix


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    return write_mix(tmp_path)


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
    (out / "song - rest.wav").unlink()
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
    "gate_threshold": 0.3,
    "changes": (Change(0.1, "gate", False),),
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


def test_a_record_without_rate_and_start_is_trusted_too(tmp_path: Path, mix: Path) -> None:
    first = render(mix, "drums", tmp_path / "out", start_s=0.5, length_s=0.3)
    record = json.loads(first.manifest.read_text(encoding="utf-8"))
    assert (record.pop("sample_rate"), record.pop("start_s")) == (RATE, 0.5)
    first.manifest.write_text(json.dumps(record), encoding="utf-8")
    again = render(mix, "drums", tmp_path / "out", start_s=0.5, length_s=0.3, existing="skip")
    assert (again.skipped, again.sample_rate, again.start_s) == (True, RATE, 0.5)


def test_a_skipped_silent_render_nulls_as_the_first(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros((9000, 1)), RATE, subtype="FLOAT")
    results = [render(path, "drums", tmp_path / "out", existing="skip") for _ in range(2)]
    assert [result.null_db for result in results] == [-np.inf, -np.inf]
    assert results[1].skipped


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_mix_whose_name_is_no_utf8_is_rendered_and_skipped(tmp_path: Path, mix: Path) -> None:
    odd = mix.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    assert not render(odd, "drums", tmp_path / "out", length_s=0.2, existing="skip", plot=True).skipped
    assert names(tmp_path / "out")[0] == "caf_ - drums.wav"
    assert render(odd, "drums", tmp_path / "out", length_s=0.2, existing="skip").skipped


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


def test_stems_are_no_mixes_when_a_folder_is_searched_again(tmp_path: Path, mix: Path) -> None:
    render(mix, "drums", tmp_path / "stems", length_s=0.2)
    for argument in (str(tmp_path), f"{tmp_path}/**/*.wav", f"{tmp_path}/*"):
        assert [found.path for found in find_inputs([argument], tmp_path / "stems")] == [mix]


def test_stems_of_earlier_queries_are_no_mixes_either(tmp_path: Path, mix: Path) -> None:
    stems = tmp_path / "stems"
    for query in ("drums", "a violin", "a flute"):
        record = read_manifest(render(mix, query, stems, length_s=0.2, existing="overwrite").manifest)
        assert [found.path for found in find_inputs([str(tmp_path)], stems)] == [mix]
        assert record is not None and f"song - {query}.wav" in record["files"]
    assert list(record["earlier"]) == ["song - a violin.wav", "song - drums.wav"]
    (stems / "song - drums.wav").unlink()
    record = read_manifest(render(mix, "a violin", stems, length_s=0.2, existing="overwrite").manifest)
    assert record is not None and list(record["earlier"]) == ["song - a flute.wav"]
    again = render(mix, "a flute", stems, length_s=0.2, existing="skip")  # it is this mix's own file
    assert not again.skipped and again.stems[0].path == stems / "song - a flute.wav"


@pytest.mark.parametrize(
    "record", ["[" * 100_000, "[]", "{", '{"layout": 1}', '{"layout": 1, "files": {}, "earlier": null}']
)
def test_a_damaged_record_lists_nothing(tmp_path: Path, mix: Path, record: str) -> None:
    (tmp_path / "song.soundlasso.json").write_text(record)
    assert [found.path for found in find_inputs([str(tmp_path)], tmp_path)] == [mix]


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
