"""What becomes of files that are there: nothing that somebody else made or edited is lost."""

import json
from pathlib import Path

import pytest
import soundfile

from soundlasso.bridge.events import Event
from soundlasso.bridge.manifest import read_manifest
from soundlasso.bridge.render import render
from soundlasso.dsp.errors import AudioFileError
from tests.render_helpers import RATE, mixture, write_mix

CHANGED = r"- drums\.wav' was changed since it was rendered; move it, or set existing to overwrite \(--overw"


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    return write_mix(tmp_path)


def edit(stem: Path) -> bytes:
    """Cut a stem, as in an editor."""
    soundfile.write(stem, mixture().T[:500], RATE, subtype="FLOAT")
    return stem.read_bytes()


@pytest.mark.parametrize("settings", [{}, {"gate": False}])
def test_a_stem_that_was_edited_is_kept_when_skipping(
    tmp_path: Path, mix: Path, settings: dict[str, bool]
) -> None:
    stem = tmp_path / "out" / "song - drums.wav"
    render(mix, "drums", tmp_path / "out", length_s=0.2)
    edited = edit(stem)
    with pytest.raises(AudioFileError, match=CHANGED):
        render(mix, "drums", tmp_path / "out", length_s=0.2, existing="skip", **settings)  # type: ignore[arg-type]
    assert stem.read_bytes() == edited
    stem.unlink()
    assert not render(mix, "drums", tmp_path / "out", length_s=0.2, existing="skip").skipped
    edit(stem)
    render(mix, "drums", tmp_path / "out", length_s=0.2, existing="overwrite")
    assert render(mix, "drums", tmp_path / "out", length_s=0.2, existing="skip").skipped


def test_a_stem_that_is_edited_while_it_is_rendered_anew_is_kept(tmp_path: Path, mix: Path) -> None:
    stem = tmp_path / "out" / "song - drums.wav"
    render(mix, "drums", tmp_path / "out", length_s=0.2)
    edited = []

    def edit_meanwhile(event: Event) -> None:
        if event.stage == "separate":
            edited.append(edit(stem))

    with pytest.raises(AudioFileError, match=CHANGED):
        render(
            mix, "drums", tmp_path / "out", length_s=0.2, gate=False, existing="skip", progress=edit_meanwhile
        )
    assert [stem.read_bytes()] == edited
    assert read_manifest(tmp_path / "out" / "song.soundlasso.json") is not None


def test_a_stem_of_an_earlier_query_that_was_edited_is_kept_too(tmp_path: Path, mix: Path) -> None:
    out = tmp_path / "out"
    render(mix, "drums", out, length_s=0.2)
    record = render(mix, "a flute", out, length_s=0.2, existing="overwrite").manifest
    edited = edit(out / "song - drums.wav")
    with pytest.raises(AudioFileError, match=CHANGED):
        render(mix, "drums", out, length_s=0.2, existing="skip")
    assert (out / "song - drums.wav").read_bytes() == edited
    told = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**told, "earlier": list(told["earlier"])}), encoding="utf-8")
    assert not render(mix, "drums", out, length_s=0.2, existing="skip").skipped  # old records have no sizes


def test_a_session_that_a_daw_saved_is_kept_and_no_reason_to_render_anew(tmp_path: Path, mix: Path) -> None:
    out = tmp_path / "out"
    render(mix, "drums", out, length_s=0.2, sessions=("rpp",))
    (session,) = out.rglob("*.rpp")
    saved = session.read_bytes() + b"; a fader was moved\n"
    session.write_bytes(saved)
    assert render(mix, "drums", out, length_s=0.2, sessions=("rpp",), existing="skip").skipped
    with pytest.raises(AudioFileError, match=r"\.rpp' was changed since it was rendered; move it"):
        render(mix, "drums", out, length_s=0.2, sessions=("rpp",), gate=False, existing="skip")
    assert session.read_bytes() == saved
    session.rename(session.with_stem("mine"))
    assert not render(mix, "drums", out, length_s=0.2, sessions=("rpp",), gate=False, existing="skip").skipped
    assert session.read_bytes() != saved


def test_what_is_there_is_told_with_ways_that_work(tmp_path: Path, mix: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("song - drums.wav", "song - rest.wav"):
        (out / name).write_text("precious")
    way = (
        r"exists already, as do 1 more; choose another folder \(--out\), or set existing to overwrite or skip"
    )
    with pytest.raises(AudioFileError, match=way):
        render(mix, "drums", out)
    with pytest.raises(
        AudioFileError, match=r"no earlier render of 'song\.wav' wrote it; move it, or"
    ) as told:
        render(mix, "drums", out, existing="skip")
    assert "--resume" not in str(told.value)
