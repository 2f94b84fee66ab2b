"""Audio files appear whole or not at all.

What comes back from a file is compared exactly with what `write` said it holds; rounding to integers is
at most half a step of them.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundlasso.bridge import audiofile_format
from soundlasso.bridge.audiofile import AudioInfo, read_audio
from soundlasso.bridge.audiofile_format import OutputFormat, choose_format
from soundlasso.bridge.audiofile_write import AudioWriter, check_space, publish, write_whole
from soundlasso.dsp.errors import AudioError, AudioFileError
from tests.signals import noise

RATE = 44100
LENGTH = 70_000


def info(rate: int = RATE, channels: int = 2, frames: int = LENGTH, subtype: str = "PCM_16") -> AudioInfo:
    return AudioInfo(Path("mix.wav"), rate, channels, frames, "WAV", subtype)


def stored(container: str = "WAV", subtype: str = "FLOAT", frames: int = LENGTH) -> OutputFormat:
    return OutputFormat(container, subtype, RATE, 2, frames)


@pytest.mark.parametrize(
    ("container", "subtype", "bits"),
    [
        ("WAV", "FLOAT", None),
        ("RF64", "FLOAT", None),
        ("WAV", "PCM_16", 16),
        ("WAV", "PCM_24", 24),
        ("WAV", "PCM_U8", 8),
        ("FLAC", "PCM_16", 16),
        ("FLAC", "PCM_24", 24),
        ("FLAC", "PCM_S8", 8),
    ],
)
def test_the_file_holds_what_write_returned(
    tmp_path: Path, container: str, subtype: str, bits: int | None
) -> None:
    audio = noise(2, LENGTH)
    with AudioWriter(tmp_path / "a", stored(container, subtype)) as writer:
        held = np.concatenate([writer.write(audio[:, :999]), writer.write(audio[:, 999:])], axis=1)
    np.testing.assert_array_equal(read_audio(tmp_path / "a")[0], held)
    assert np.abs(held - audio).max() <= (0 if bits is None else 2.0**-bits)
    assert writer.clipped_samples == 0


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16")])
def test_integers_clip_and_count_and_never_wrap(tmp_path: Path, container: str, subtype: str) -> None:
    audio = np.array([[1.5, -1.5, 1.0, -1.0, 0.5, 1.00001, 1e30, -1e30]] * 2, np.float32)
    with AudioWriter(tmp_path / "a", stored(container, subtype, frames=8)) as writer:
        writer.write(audio)
    assert writer.clipped_samples == 2 * 5
    np.testing.assert_allclose(read_audio(tmp_path / "a")[0], np.clip(audio, -1, 1), atol=2.0**-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_never_written(tmp_path: Path, bad: float) -> None:
    audio = noise(2, LENGTH)
    audio[0, 3] = bad
    with pytest.raises(AudioError, match="not finite"), AudioWriter(tmp_path / "a.wav", stored()) as writer:
        writer.write(audio)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_on_the_way_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), AudioWriter(tmp_path / "a.wav", stored()) as writer:
        writer.write(noise(2, 1000))
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_frames_missing_is_not_published(tmp_path: Path) -> None:
    with (
        pytest.raises(AudioFileError, match="was to have 70000 frames, 1000 were written"),
        AudioWriter(tmp_path / "a.wav", stored()) as writer,
    ):
        writer.write(noise(2, 1000))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_what_a_disk_lost_is_noticed_on_reading_back(tmp_path: Path, container: str, subtype: str) -> None:
    writer = AudioWriter(tmp_path / "a", stored(container, subtype))
    writer.write(noise(2, LENGTH))
    writer._file.close()
    (part,) = tmp_path.iterdir()
    part.write_bytes(part.read_bytes()[:-5000])
    with pytest.raises(AudioFileError):
        publish([writer])
    writer.discard()
    assert list(tmp_path.iterdir()) == []


NO_ROOM = """
import resource, sys
from pathlib import Path
from typing import Any
import numpy as np
from soundlasso.bridge.audiofile_format import OutputFormat
from soundlasso.bridge.audiofile_write import AudioWriter
from soundlasso.dsp.errors import AudioFileError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).standard_normal((2, 441_000)).astype(np.float32) * 0.1
try:
    with AudioWriter(Path(sys.argv[1]), OutputFormat(sys.argv[2], sys.argv[3], 44100, 2, 441_000)) as writer:
        writer.write(noise)
except AudioFileError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
@pytest.mark.parametrize(("container", "subtype"), [("WAV", "FLOAT"), ("FLAC", "PCM_24"), ("OGG", "VORBIS")])
def test_a_disk_that_fills_leaves_no_file(tmp_path: Path, container: str, subtype: str) -> None:
    arguments = [sys.executable, "-c", NO_ROOM, str(tmp_path / "a"), container, subtype]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
    assert "MB are free there" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept_unless_it_may_go(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("precious")
    with pytest.raises(AudioFileError, match="exists already"):
        AudioWriter(path, stored())
    assert path.read_text() == "precious"
    with AudioWriter(path, stored(), overwrite=True) as writer:
        writer.write(noise(2, LENGTH))
    assert read_audio(path)[0].shape == (2, LENGTH)


def test_what_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(AudioFileError, match="exists already"), AudioWriter(path, stored()) as writer:
        writer.write(noise(2, LENGTH))
        path.write_text("precious")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]


def test_no_file_of_several_is_published_before_all_are_whole(tmp_path: Path) -> None:
    writers = [AudioWriter(tmp_path / name, stored()) for name in ("a.wav", "b.wav")]
    writers[0].write(noise(2, LENGTH))
    with pytest.raises(AudioFileError, match=r"b\.wav"):
        publish(writers)
    for writer in writers:
        writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_if_one_file_cannot_be_renamed_none_stays(tmp_path: Path) -> None:
    writers = [AudioWriter(tmp_path / name, stored()) for name in ("a.wav", "b.wav")]
    for writer in writers:
        writer.write(noise(2, LENGTH))
    (tmp_path / "b.wav").write_text("precious")
    with pytest.raises(AudioFileError, match=r"b\.wav' exists already"):
        publish(writers)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("b.wav", "precious")]


def test_a_file_that_replaced_another_is_not_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("old")
    for name in ("a.wav", "b.wav"):
        writer = AudioWriter(tmp_path / name, stored(), overwrite=True)
        writer.write(noise(2, LENGTH))
        publish([writer])
        writer.withdraw()
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_to_nowhere_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "later.wav")
    with pytest.raises(AudioFileError, match="exists already"):
        AudioWriter(tmp_path / "a.wav", stored())


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("none", "file", "n" * 300):
        with pytest.raises(AudioFileError, match="cannot write"):
            AudioWriter(tmp_path / folder / "a.wav", stored())


@pytest.mark.parametrize("channels", [2, 40])
def test_equal_sound_gives_equal_bytes(tmp_path: Path, channels: int) -> None:
    format = OutputFormat("WAV", "FLOAT", RATE, channels, LENGTH)
    with AudioWriter(tmp_path / "a.wav", format) as writer:
        writer.write(noise(channels, LENGTH))
    data = (tmp_path / "a.wav").read_bytes()
    peak = data.index(b"PEAK")
    assert data[peak + 12 : peak + 16] == bytes(4)  # libsndfile puts the time there
    assert soundfile.info(tmp_path / "a.wav").frames == LENGTH


def test_a_wav_beyond_4_gib_becomes_rf64() -> None:
    four_gib = (1 << 32) // (2 * 4)
    assert choose_format(info(), four_gib - 10_000).container == "WAV"
    assert choose_format(info(), four_gib - 100).container == "RF64"
    assert choose_format(info(), four_gib + 100, subtype="PCM_16").container == "WAV"
    assert choose_format(info(), four_gib * 3, format="flac").container == "FLAC"


def test_rf64_has_its_sizes_and_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiofile_format, "_RIFF_LIMIT_BYTES", 10_000)
    with AudioWriter(tmp_path / "a.wav", choose_format(info(), LENGTH)) as writer:
        held = writer.write(noise(2, LENGTH))
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], held)


@pytest.mark.parametrize(("rate", "allowed"), [(192_000, True), (200_001, False), (384_000, False)])
def test_vorbis_that_would_crash_is_refused(tmp_path: Path, rate: int, allowed: bool) -> None:
    if not allowed:
        with pytest.raises(AudioFileError, match=f"ogg holds 192000 Hz at most, not {rate}"):
            choose_format(info(rate), 100, format="ogg")
        return
    output = choose_format(info(rate), 300_000, format="ogg")
    with AudioWriter(tmp_path / "a.ogg", output) as writer:
        writer.write(noise(2, 300_000))
    assert soundfile.info(tmp_path / "a.ogg").frames == 300_000


def test_a_long_vorbis_block_is_written_in_parts(tmp_path: Path) -> None:
    length = 3_000_000  # at once, it would be 12 MB of libsndfile's stack, which ends the process
    with AudioWriter(tmp_path / "a.ogg", OutputFormat("OGG", "VORBIS", RATE, 1, length)) as writer:
        writer.write(np.zeros((1, length), np.float32))
    assert soundfile.info(tmp_path / "a.ogg").frames == length


@pytest.mark.parametrize(
    ("format", "subtype", "channels", "reason"),
    [
        ("flac", None, 9, "flac holds 8 channels at most"),
        ("flac", "FLOAT", 2, "flac does not hold 'FLOAT'"),
        ("mp4", None, 2, "no output format 'mp4'"),
        ("wav", "PCM_12", 2, "no sample format 'PCM_12'"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    format: str, subtype: str | None, channels: int, reason: str
) -> None:
    with pytest.raises(AudioFileError, match=reason):
        choose_format(info(channels=channels), 100, format=format, subtype=subtype)


@pytest.mark.parametrize(
    ("of_input", "format", "expected"),
    [
        ("PCM_16", "wav", "PCM_16"),
        ("PCM_S8", "wav", "PCM_U8"),
        ("PCM_U8", "flac", "PCM_S8"),
        ("DOUBLE", "wav", "FLOAT"),
        ("FLOAT", "flac", "PCM_24"),
        ("MPEG_LAYER_III", "wav", "FLOAT"),
    ],
)
def test_same_keeps_the_sample_format_where_it_can(of_input: str, format: str, expected: str) -> None:
    assert choose_format(info(subtype=of_input), 100, format=format, subtype="same").subtype == expected


def test_too_little_room_is_seen_before_anything_is_written(tmp_path: Path) -> None:
    year = stored(frames=RATE * 3600 * 24 * 365)
    with pytest.raises(AudioFileError, match=r"no space in .*: 55629504\.0 MB are needed"):
        check_space([(tmp_path / "not" / "yet" / f"{name}.wav", year) for name in "abcde"])
    check_space([(tmp_path / "a.wav", stored())])


def test_a_small_file_is_replaced_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", b"one")
    write_whole(tmp_path / "a.json", b"two")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.json", b"two")]


@pytest.mark.skipif(os.name != "posix", reason="folders are synced on POSIX only")
def test_a_folder_that_may_be_written_but_not_read_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def guarded(path: str | Path, flags: int, *more: Any, **named: Any) -> int:  # root may read everything
        if Path(path) == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", guarded)
    write_whole(tmp_path / "a.json", b"one")
    assert (tmp_path / "a.json").read_bytes() == b"one"


def test_a_small_file_that_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_whole(tmp_path / "a.json", b"one")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AudioFileError, match=r"a\.json': No space left on device; .* MB are free there"):
        write_whole(tmp_path / "a.json", b"two")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.json", b"one")]
