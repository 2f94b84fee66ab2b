"""Time stamps in WAV files, read back by wavinfo and ffprobe; loudness against FFmpeg's meter.

Tolerances: samples to the bit; loudness to 0.1 LU, FFmpeg's own resolution; its range to 0.3 LU, because
FFmpeg looks at it at other moments.
"""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import wavinfo

from soundlasso.bridge.audiofile_format import OutputFormat
from soundlasso.bridge.audiofile_write import AudioWriter
from soundlasso.bridge.export.bext import Broadcast, Loudness, read_broadcast
from soundlasso.dsp.loudness import LoudnessMeter
from tests.signals import Audio, noise

RATE = 48000
LOUDNESS_LU = 0.1
RANGE_LU = 0.3
STAMP = Broadcast(
    "a dog barking, PEAK data",
    reference="42",
    date="2026-11-22",
    time="08:40:00",
    time_reference_samples=(1 << 33) + 7,
    umid=bytes(range(1, 33)),
    loudness=Loudness(-23.45, 6.5, -1.25, -18.0, -20.0),
    history="A=PCM,F=48000,W=24,M=stereo,T=recorder\r\n",
)

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")


def write(
    path: Path, audio: Audio, stamp: Broadcast | None, subtype: str = "FLOAT", kind: str = "WAV"
) -> None:
    format = OutputFormat(kind, subtype, RATE, len(audio), audio.shape[1])
    with AudioWriter(
        path, format, broadcast=None if stamp is None else replace(stamp, loudness=Loudness())
    ) as file:
        file.write(audio)
        file.broadcast = stamp if file.broadcast is not None else None


@pytest.mark.parametrize("kind", ["WAV", "RF64"])
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16", "PCM_24", "PCM_U8"])
@pytest.mark.parametrize("frames", [1, 1001])
def test_the_chunk_moves_no_sample(tmp_path: Path, kind: str, subtype: str, frames: int) -> None:
    audio = noise(3, frames)
    audio[0, 0] = 0.9
    stamped, plain = tmp_path / "stamped.wav", tmp_path / "plain.wav"
    write(stamped, audio, STAMP, subtype, kind)
    write(plain, audio, None, subtype, kind)
    np.testing.assert_array_equal(soundfile.read(stamped)[0], soundfile.read(plain)[0])
    assert read_broadcast(stamped, kind) == STAMP
    assert read_broadcast(plain, kind) is None


def test_equal_sound_gives_equal_files(tmp_path: Path) -> None:
    for name in ("one.wav", "two.wav"):
        write(tmp_path / name, noise(2, 5000), STAMP)
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


def test_of_a_long_history_the_newest_lines_stay() -> None:
    lines = [f"A=PCM,T=step {number}\r\n" for number in range(400)]
    kept = Broadcast.from_bytes(Broadcast(history="".join(lines)).to_bytes())
    assert kept is not None and kept.history.endswith("".join(lines[-50:])) and len(kept.history) == 2000


@pytest.mark.parametrize("history", ["", "odd", "x" * 5000])
def test_any_history_fits(tmp_path: Path, history: str) -> None:
    write(tmp_path / "a.wav", noise(1, 10), replace(STAMP, history=history))
    found = read_broadcast(tmp_path / "a.wav", "WAV")
    assert found is not None and found.history == history[-2000:]


def test_wavinfo_reads_it(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(2, 1000), STAMP)
    read: Any = wavinfo.WavInfoReader(str(tmp_path / "a.wav"))
    assert read.data.frame_count == 1000
    bext = read.bext
    assert (bext.version, bext.description, bext.originator) == (2, STAMP.description, "soundlasso")
    assert bext.time_reference == STAMP.time_reference_samples
    assert (bext.originator_date, bext.originator_time) == (STAMP.date, STAMP.time)
    assert (bext.loudness_value, bext.loudness_range) == (-23.45, 6.5)
    assert (bext.max_true_peak, bext.max_momentary_loudness, bext.max_shortterm_loudness) == (-1.25, -18, -20)
    assert bext.coding_history == STAMP.history


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["WAV", "RF64"])
def test_ffprobe_reads_it(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "a.wav", noise(2, 1000), STAMP, kind=kind)
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_format", str(tmp_path / "a.wav")]
    tags = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["format"]["tags"]
    assert tags["time_reference"] == str(STAMP.time_reference_samples)
    assert tags["comment"] == STAMP.description
    assert tags["date"] == STAMP.date


def test_text_is_ascii_and_cut(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(1, 10), replace(STAMP, description="Café à 東京 " + "x" * 300))
    bext: Any = wavinfo.WavInfoReader(str(tmp_path / "a.wav")).bext
    assert bext.description.startswith("Cafe a ?? xx")
    assert len(bext.description) == 256


def test_unknown_loudness_says_so() -> None:
    silent = Loudness(float("-inf"), None, 400.0)
    found = Broadcast.from_bytes(Broadcast(loudness=silent).to_bytes())
    assert found is not None and found.loudness == Loudness()


def test_other_formats_have_no_place_for_it(tmp_path: Path) -> None:
    format = OutputFormat("FLAC", "PCM_16", RATE, 1, 10)
    with AudioWriter(tmp_path / "a.flac", format, broadcast=STAMP) as file:
        assert file.broadcast is None
        file.write(noise(1, 10))


def test_too_short_a_chunk_is_none(tmp_path: Path) -> None:
    assert Broadcast.from_bytes(b"\0" * 601) is None


@needs_ffmpeg
def test_loudness_is_what_ffmpeg_measures(tmp_path: Path) -> None:
    levels = np.repeat([0.02, 0.3, 0.05, 0.15, 0.01], 4 * RATE)
    audio = (noise(2, len(levels), level=1.0) * levels).astype(np.float32)
    write(tmp_path / "a.wav", audio, None)
    meter = LoudnessMeter(RATE, 2)
    meter.process(audio)
    filters = "ebur128=metadata=1,ametadata=print:file=-"
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), "-af", filters, "-f", "null", "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert meter.integrated_lufs == pytest.approx(values(text, "I")[-1], abs=LOUDNESS_LU)
    assert meter.momentary_lufs == pytest.approx(max(values(text, "M")), abs=LOUDNESS_LU)
    assert meter.short_term_lufs == pytest.approx(max(values(text, "S")), abs=LOUDNESS_LU)
    assert meter.range_lu == pytest.approx(values(text, "LRA")[-1], abs=RANGE_LU)


def values(text: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf"r128\.{name}=(-?[\d.]+)", text)]
