"""Whole files through boards; TOLERANCE 0 for float files, and for pedalboard's own loop."""

from pathlib import Path

import numpy as np
import pedalboard
import pytest
import soundfile
from pedalboard.io import AudioFile

from soundlasso.bridge.board import Board
from soundlasso.dsp.errors import AudioFileError
from tests.board_helpers import Late, noise

RATE = 44_100


def late_board() -> Board:
    return Board([pedalboard.Invert(), Late(5000), pedalboard.BrickwallLimiter()])


@pytest.fixture
def src(tmp_path: Path) -> Path:
    path = tmp_path / "in.wav"
    soundfile.write(path, noise(2, 100_000).T, RATE, "FLOAT")
    return path


def test_process_file_loses_no_sample(src: Path) -> None:
    dst = src.with_name("out.wav")
    late_board().process_file(src, dst)
    audio, rate = soundfile.read(dst, dtype="float32")
    assert rate == RATE and soundfile.info(dst).subtype == "FLOAT"
    np.testing.assert_array_equal(audio.T, late_board()(noise(2, 100_000), RATE))


@pytest.mark.parametrize(("channels", "length"), [(2, 1), (2, 2), (3, 2), (1, 1)])
def test_process_file_knows_the_channels_of_the_shortest_files(
    tmp_path: Path, channels: int, length: int
) -> None:
    audio = noise(channels, length)
    soundfile.write(tmp_path / "in.wav", audio.T, RATE, "FLOAT")
    late_board().process_file(tmp_path / "in.wav", tmp_path / "out.wav")
    out, _ = soundfile.read(tmp_path / "out.wav", dtype="float32", always_2d=True)
    np.testing.assert_allclose(out.T, -audio, 0, 1e-6)


def test_process_file_lets_a_reverb_ring_out(src: Path) -> None:
    dst = src.with_name("out.flac")
    Board([pedalboard.Reverb()]).process_file(src, dst, tail_seconds=1.5)
    audio, _ = soundfile.read(dst)
    assert len(audio) == 100_000 + 66_150
    assert np.abs(audio[100_000:]).max() > 0.01


def test_the_loop_of_pedalboard_and_a_flush_lose_no_sample(src: Path) -> None:
    dst, board = src.with_name("out.wav"), late_board()
    with AudioFile(str(src)) as source, AudioFile(str(dst), "w", RATE, 2, bit_depth=32) as output:
        while source.tell() < source.frames:
            output.write(board(source.read(4096), source.samplerate, reset=False))
        output.write(board.flush())
    audio, _ = soundfile.read(dst, dtype="float32")
    np.testing.assert_array_equal(audio.T, late_board()(noise(2, 100_000), RATE))


def test_clipping_is_counted(src: Path) -> None:
    with pytest.warns(UserWarning, match=r"\d+ samples of '.*loud.wav' were beyond full scale and clipped"):
        Board([pedalboard.Gain(30)]).process_file(src, src.with_name("loud.wav"), subtype="PCM_16")


def test_an_error_leaves_no_file(src: Path) -> None:
    before = sorted(src.parent.iterdir())
    with pytest.raises(RuntimeError, match="PitchShift cannot stream"):
        Board([pedalboard.PitchShift()]).process_file(src, src.with_name("out.wav"))
    with pytest.raises(AudioFileError, match="no output format 'xyz'"):
        Board().process_file(src, src.with_name("out.xyz"))
    with pytest.raises(AudioFileError, match="exists already"):
        Board().process_file(src, src)
    assert sorted(src.parent.iterdir()) == before
