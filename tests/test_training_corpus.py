"""Tests of the recipe's material: the table of recordings, shelves and decoding."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.dsp.errors import AudioFileError, SoundlassoError
from soundlasso.models.training.corpus import decode, keep_licence, read_mono
from soundlasso.models.training.recordings import SPOKEN, Recording, package_data, packages, recordings
from soundlasso.models.training.storage import (
    PEAK,
    SAMPLE_RATE,
    Cache,
    Clip,
    has_shelf,
    read_shelf,
    to_int16,
    write_shelf,
)
from soundlasso.models.training.vocabulary import (
    GROUPS,
    NUMBER,
    SPEECH,
    captions,
    group_wordings,
    paraphrases,
    wordings,
)

INT16_STEP = 1 / 32768


def test_no_source_is_in_two_splits():
    splits: dict[str, set[str]] = {}
    for row in recordings():
        if row.source not in ("klettres-data", "ktuberling-data"):
            splits.setdefault(row.source, set()).add(row.split)
    assert [source for source, found in splits.items() if len(found) > 1] == []


def test_every_split_has_speech_and_no_recording_is_listed_twice():
    rows = recordings()
    assert {row.split for row in rows if row.sound in SPEECH} == {"train", "valid", "test"}
    assert len({(row.package, row.path) for row in rows}) == len(rows)


def test_words_that_are_labelled_as_what_they_name_are_left_out():
    listed = gzip.decompress(package_data("recordings.csv.gz")).decode()
    assert all(path in listed for path in SPOKEN)
    assert not SPOKEN.intersection(row.path for row in recordings())


def test_every_recorded_class_has_captions():
    assert {row.sound for row in recordings()} - set(NUMBER) == set()
    assert all(captions(row.sound) for row in recordings())


def test_paraphrases_are_never_trained_on():
    trained = {text.lower() for sound in NUMBER for text in wordings(sound)}
    trained |= {text.lower() for group in GROUPS for text in group_wordings(group)}
    kept = {text.lower() for sound in NUMBER for text in paraphrases(sound)}
    assert len(kept) > 100
    assert kept & trained == set()


def test_every_class_and_group_has_many_wordings_of_its_own():
    assert all(len(set(wordings(sound))) >= 7 for sound in NUMBER)
    assert all(len(set(group_wordings(group))) >= 8 for group in GROUPS)
    words = [text for sound in NUMBER for text in wordings(sound)]
    words += [text for group in GROUPS for text in group_wordings(group)]
    assert len(words) == len(set(words))  # one that two share would be an absent sound that is there


def test_a_shelf_gives_back_what_was_put_on_it(tmp_path: Path):
    audio = np.arange(-500, 500, dtype=np.int16)
    clips = [
        (Clip(0, 0, "dog", "kennel", "train", bandwidth_hz=4000.0), audio[:300]),
        (Clip(0, 0, "piano", "x:0:0", "test", "song", "lead"), audio[300:]),
    ]
    assert write_shelf(tmp_path / "shelf", clips) == 2
    samples, found = read_shelf(tmp_path / "shelf")
    assert [clip.sound for clip in found] == ["dog", "piano"]
    assert found[0].bandwidth_hz == 4000.0 and found[1].piece == "song"
    for (_, wanted), clip in zip(clips, found, strict=True):
        np.testing.assert_array_equal(samples[clip.start : clip.start + clip.length], wanted)


def test_a_shelf_that_broke_off_does_not_count(tmp_path: Path):
    def broken():
        yield Clip(0, 0, "dog", "kennel", "train"), np.zeros(10, np.int16)
        raise AudioFileError("the disk is gone")

    with pytest.raises(AudioFileError):
        write_shelf(tmp_path / "shelf", broken())
    assert not has_shelf(tmp_path / "shelf")


def test_clips_are_set_to_one_peak_and_silence_is_refused():
    quiet = np.array([0.01, -0.05, 0.02], np.float32)
    kept = to_int16(quiet)
    assert kept is not None
    assert abs(int(np.abs(kept).max()) / 32767 - PEAK) < INT16_STEP
    assert to_int16(np.zeros(100, np.float32)) is None
    assert to_int16(np.zeros(0, np.float32)) is None


@pytest.mark.parametrize("sample_rate", [8000, 22050, 44100, 48000])
def test_files_come_in_mono_at_the_models_rate(tmp_path: Path, sample_rate: int):
    time = np.arange(sample_rate) / sample_rate
    left = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], 1), sample_rate, "FLOAT")
    audio = read_mono(tmp_path / "a.wav")
    assert abs(len(audio) - SAMPLE_RATE) <= 2
    middle = audio[4410:-4410]
    assert abs(np.sqrt(np.mean(middle**2)) - 0.25 / np.sqrt(2)) < 1e-3
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(spectrum.argmax() * SAMPLE_RATE / len(middle) - 440) < 2


def _package(cache: Cache, name: str) -> Path:
    folder = cache.room("packages") / name
    (folder / "usr/share/doc" / name).mkdir(parents=True)
    (folder / "usr/share/doc" / name / "copyright").write_text("License: CC0-1.0\n")
    return folder


def test_recordings_inside_an_archive_are_decoded_and_bad_files_reported(tmp_path: Path):
    cache = Cache.open(tmp_path)
    folder = _package(cache, "game-data")
    soundfile.write(tmp_path / "bark.wav", np.sin(np.arange(9000) / 20), 44100)
    with zipfile.ZipFile(folder / "sounds.pk3", "w") as archive:
        archive.write(tmp_path / "bark.wav", "sound/bark.wav")
    (folder / "torn.wav").write_bytes(b"RIFF????")
    rows = [
        Recording("game-data", "sounds.pk3!/sound/bark.wav", 0.2, "dog", "game-data", "train", 0.0),
        Recording("game-data", "torn.wav", 0.2, "dog", "game-data", "train", 0.0),
    ]
    kept, failed = decode("game-data", cache, rows)
    assert (kept, failed) == (1, ["torn.wav"])
    assert (cache.root / "licences" / "game-data.txt").read_text() == "License: CC0-1.0\n"
    assert decode("game-data", cache, rows) == (0, [])


def test_material_without_a_licence_is_refused(tmp_path: Path):
    with pytest.raises(SoundlassoError, match="no copyright file"):
        keep_licence("nameless", Cache.open(tmp_path))


def test_the_cache_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOUNDLASSO_TRAINING_CACHE", str(tmp_path / "elsewhere"))
    assert Cache.open().root == (tmp_path / "elsewhere").resolve()
    assert Cache.open(tmp_path / "named").root == (tmp_path / "named").resolve()


def test_packages_hold_the_recordings_and_the_soundfonts():
    assert {row.package for row in recordings()} < set(packages())
    assert "fluid-soundfont-gm" in packages()
