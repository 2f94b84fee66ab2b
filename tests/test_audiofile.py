"""Audio files are read whole, or refused with the reason.

Integer and float containers are compared exactly; lossy ones with a second decoding by soundfile.
"""

import contextlib
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.audiofile import AudioReader, inspect_audio, read_audio
from soundlasso.bridge.audiofile_mpeg import count_samples, states_length
from soundlasso.bridge.audiofile_whole import check_whole
from soundlasso.dsp.errors import AudioFileError
from tests.signals import noise

RATE = 44100
FORMATS = [  # ending, container, subtype
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAVEX", "PCM_16"),
    ("wav", "RF64", "FLOAT"),
    ("w64", "W64", "FLOAT"),
    ("aiff", "AIFF", "PCM_24"),
    ("au", "AU", "PCM_16"),
    ("caf", "CAF", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
]


def write(folder: Path, ending: str, container: str, subtype: str, length: int = 50_000) -> Path:
    path = folder / f"sound.{ending}"
    rate = 48000 if subtype == "OPUS" else RATE
    soundfile.write(path, noise(2, length).T, rate, format=container, subtype=subtype)
    return path


@pytest.mark.parametrize(("ending", "container", "subtype"), FORMATS)
def test_blocks_are_the_file(tmp_path: Path, ending: str, container: str, subtype: str) -> None:
    path = write(tmp_path, ending, container, subtype)
    expected, rate = soundfile.read(path, dtype="float32", always_2d=True)
    with AudioReader(path) as reader:
        assert (reader.frames, reader.info.sample_rate, reader.info.channels) == (50_000, rate, 2)
        found = np.concatenate(list(reader.blocks(4097)), axis=1)
    np.testing.assert_array_equal(found, expected.T)


@pytest.mark.parametrize("ending_container_subtype", [FORMATS[2], FORMATS[9], FORMATS[10], FORMATS[12]])
def test_a_region_is_that_part_of_the_whole(
    tmp_path: Path, ending_container_subtype: tuple[str, str, str]
) -> None:
    path = write(tmp_path, *ending_container_subtype)
    whole, _ = read_audio(path)
    with AudioReader(path, start_s=0.5, length_s=0.25) as reader:
        found = np.concatenate(list(reader.blocks(1000)), axis=1)
    np.testing.assert_array_equal(found, whole[:, RATE // 2 : RATE // 2 + round(RATE / 4)])


def test_a_region_ends_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, *FORMATS[2])
    for length_s in (99.0, 1e305):  # 1e305 s are more samples than a float can count
        with AudioReader(path, start_s=1.0, length_s=length_s) as reader:
            assert reader.frames == 50_000 - RATE


@pytest.mark.parametrize(
    ("start_s", "length_s"),
    [(-1.0, None), (9.0, None), (1e305, None), (np.nan, None), (0.0, 1e-9), (0.0, np.nan)],
)
def test_a_region_outside_the_file_is_refused(tmp_path: Path, start_s: float, length_s: float | None) -> None:
    path = write(tmp_path, *FORMATS[2])
    with pytest.raises(AudioFileError, match=r"cannot (start|read a length)"):
        AudioReader(path, start_s=start_s, length_s=length_s)


@pytest.mark.parametrize("share", [0.3, 0.75, 0.98])
@pytest.mark.parametrize(("ending", "container", "subtype"), FORMATS)
def test_a_cut_file_is_refused(
    tmp_path: Path, ending: str, container: str, subtype: str, share: float
) -> None:
    path = write(tmp_path, ending, container, subtype)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(AudioFileError, match=r"cut short|not audio"):
        read_audio(path)


@pytest.mark.parametrize(
    "ending_container_subtype", [FORMATS[0], FORMATS[4], FORMATS[6], FORMATS[9], FORMATS[10]]
)
def test_a_cut_is_seen_before_any_sound_is_read(
    tmp_path: Path, ending_container_subtype: tuple[str, str, str]
) -> None:
    path = write(tmp_path, *ending_container_subtype)
    os.truncate(path, int(path.stat().st_size * 0.9))
    with pytest.raises(AudioFileError, match=r"sound\.\w+' is cut short"):
        inspect_audio(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFDB])
def test_a_wav_from_a_pipe_promises_nothing_and_is_read(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, *FORMATS[0])
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", size)
    path.write_bytes(data)
    assert read_audio(path)[0].shape == (2, 50_000)


def test_a_flac_without_a_length_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *FORMATS[9])
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # the number of samples is the low 36 bits of bytes 18 to 25
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(AudioFileError, match="does not state its length"):
        inspect_audio(path)


def without_xing(path: Path) -> Path:
    """Drop the first frame, which holds nothing but the length."""
    data = path.read_bytes()
    path.write_bytes(data[data.index(b"\xff\xfb", 2) :])
    return path


def write_mp3(path: Path, bitrate_mode: str) -> Path:
    loud_then_silent = noise(1, 200_000)
    loud_then_silent[:, 60_000:] = 0
    with soundfile.SoundFile(path, "w", RATE, 1, bitrate_mode=bitrate_mode, compression_level=0.3) as file:
        file.write(loud_then_silent.T)
    return path


def test_an_mp3_states_its_length_in_a_xing_header(tmp_path: Path) -> None:
    path = write_mp3(tmp_path / "a.mp3", "VARIABLE")
    assert states_length(path)
    assert not states_length(without_xing(path))


def test_an_mp3_that_would_be_read_short_is_refused(tmp_path: Path) -> None:
    path = without_xing(write_mp3(tmp_path / "a.mp3", "VARIABLE"))
    assert soundfile.info(path).frames < 150_000  # what libsndfile would read, without an error
    assert count_samples(path) >= 200_000
    with pytest.raises(AudioFileError, match="does not state its length and only"):
        inspect_audio(path)


def test_an_mp3_of_constant_rate_is_read_to_the_end_without_a_header(tmp_path: Path) -> None:
    path = without_xing(write_mp3(tmp_path / "a.mp3", "CONSTANT"))
    assert read_audio(path)[0].shape == (1, count_samples(path))


def test_a_chained_ogg_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *FORMATS[10])
    path.write_bytes(path.read_bytes() * 2)
    assert soundfile.info(path).frames == 50_000  # half of it, without an error
    with pytest.raises(AudioFileError, match="chains several"):
        inspect_audio(path)


def test_a_chain_whose_first_part_lacks_its_end_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *FORMATS[10])
    data = path.read_bytes()
    last = data.rindex(b"OggS")
    cut = bytearray(data)
    cut[last + 5] &= ~4  # the mark of the last page; its checksum is not read here
    path.write_bytes(bytes(cut) + data)
    with pytest.raises(AudioFileError, match="chains several"):
        check_whole(path, "OGG")


def test_a_wav_whose_size_field_overflowed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *FORMATS[0])
    os.truncate(path, path.stat().st_size + (1 << 32))  # a hole, which takes no room
    assert soundfile.info(path).frames == 50_000  # what libsndfile would read, without an error
    with pytest.raises(AudioFileError, match="beyond 4 GiB, which its size field cannot say"):
        inspect_audio(path)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 1 << 40, (1 << 62) + 5, (1 << 63) - 1, (1 << 64) - 1])
@pytest.mark.parametrize("container", [FORMATS[5], FORMATS[8]])
def test_a_damaged_chunk_size_leads_nowhere(
    tmp_path: Path, container: tuple[str, str, str], size: int
) -> None:
    path = write(tmp_path, *container)
    data = bytearray(path.read_bytes())
    first, order = (40 + 16, "little") if container[1] == "W64" else (8 + 4, "big")
    data[first : first + 8] = size.to_bytes(8, order)  # type: ignore[arg-type]
    path.write_bytes(data)
    with contextlib.suppress(AudioFileError):
        check_whole(path, container[1])


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_name_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, *FORMATS[0])
    odd = path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    assert read_audio(odd)[0].shape == (2, 50_000)


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg", "aiff"])
def test_no_samples_is_an_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"empty.{ending}"
    soundfile.write(path, np.zeros((0, 2), np.float32), RATE)
    with pytest.raises(AudioFileError, match="holds no samples"):
        inspect_audio(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20])
def test_a_sample_that_cannot_be_is_named(tmp_path: Path, value: float) -> None:
    audio = noise(2, 100_000)
    audio[1, 70_123] = value
    path = tmp_path / "bad.wav"
    soundfile.write(path, audio.T, RATE, subtype="FLOAT")
    with pytest.raises(AudioFileError, match=rf"holds {re.escape(str(value))} in channel 1, sample 70123"):
        read_audio(path)


def test_what_is_no_audio_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not audio at all, but long enough to hold a header" * 9)
    (tmp_path / "talk.m4a").write_bytes(b"\0\0\0\x20ftypM4A " * 99)
    (tmp_path / "none.wav").write_bytes(b"")
    (tmp_path / "sound.raw").write_bytes(bytes(1000))
    os.mkfifo(tmp_path / "pipe.wav")
    for name, reason in [
        ("text.wav", "not audio that can be read"),
        ("text.wav", r"recogni[sz]ed\)$"),
        (
            "talk.m4a",
            r"\); soundlasso reads wav, flac, aiff, ogg, opus, mp3; convert it, as with: ffmpeg -i ",
        ),
        ("none.wav", "holds no samples"),
        ("sound.raw", "no header"),
        ("pipe.wav", "not a plain file"),
        ("missing.wav", "No such file"),
        ("nul\0.wav", "embedded null byte"),
        (".", "is a folder"),
    ]:
        with pytest.raises(AudioFileError, match=reason):
            inspect_audio(tmp_path / name)


def test_codecs_with_unsafe_decoders_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "wav", "WAV", "MS_ADPCM")
    with pytest.raises(AudioFileError, match="WAV MS_ADPCM, which is not read"):
        inspect_audio(path)


def test_too_many_channels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    soundfile.write(path, np.zeros((10, 65)), RATE)
    with pytest.raises(AudioFileError, match="65 channels; at most 64"):
        inspect_audio(path)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *FORMATS[2])
    with AudioReader(path) as reader, pytest.raises(AudioFileError, match="changed while it was read"):
        for _ in reader.blocks(10_000):
            path.write_bytes(path.read_bytes() + bytes(8))
