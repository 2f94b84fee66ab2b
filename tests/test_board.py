"""Boards against pedalboard's own, over its whole list of built-in plugins.

TOLERANCE 0: samples must be equal, but for Convolution in a stream: its partitions follow the block
size, and pedalboard's own result changes with it by as much.
"""

from collections.abc import Callable

import numpy as np
import pedalboard
import pytest
from pedalboard import Plugin
from pedalboard_native._internal import AddLatency

from soundlasso.bridge.board import Board
from soundlasso.bridge.native import is_never_late
from tests.board_helpers import CUTS, Late, NativeBoard, noise, stream

CONVOLUTION_TOLERANCE = 1e-7
RATE = 44_100
ROOM = (noise(1, 600, seed=9) * np.exp(-np.arange(600) / 100)).astype(np.float32)

BUILT_IN: dict[str, Callable[[], Plugin]] = {
    "Bitcrush": pedalboard.Bitcrush,
    "BrickwallLimiter": pedalboard.BrickwallLimiter,
    "Chorus": pedalboard.Chorus,
    "Clipping": pedalboard.Clipping,
    "Compressor": lambda: pedalboard.Compressor(-30, 4),
    "Convolution": lambda: pedalboard.Convolution(ROOM, 0.5, RATE),
    "Delay": lambda: pedalboard.Delay(0.05),
    "Distortion": pedalboard.Distortion,
    "GSMFullRateCompressor": pedalboard.GSMFullRateCompressor,
    "Gain": lambda: pedalboard.Gain(-3),
    "HighShelfFilter": lambda: pedalboard.HighShelfFilter(2000, 6),
    "HighpassFilter": lambda: pedalboard.HighpassFilter(80),
    "Invert": pedalboard.Invert,
    "LadderFilter": pedalboard.LadderFilter,
    "Limiter": pedalboard.Limiter,
    "LowShelfFilter": lambda: pedalboard.LowShelfFilter(200, 6),
    "LowpassFilter": lambda: pedalboard.LowpassFilter(3000),
    "MP3Compressor": pedalboard.MP3Compressor,
    "NoiseGate": lambda: pedalboard.NoiseGate(-20),
    "PeakFilter": lambda: pedalboard.PeakFilter(1000, 6),
    "Phaser": pedalboard.Phaser,
    "PitchShift": lambda: pedalboard.PitchShift(3),
    "Resample": pedalboard.Resample,
    "Reverb": pedalboard.Reverb,
}
MORE: dict[str, Callable[[], Plugin]] = {
    "AddLatency": lambda: AddLatency(300),
    "Chain": lambda: pedalboard.Chain([pedalboard.Resample(), pedalboard.Chorus()]),
    "Mix": lambda: pedalboard.Mix([pedalboard.Gain(-3), pedalboard.Reverb()]),
    "Pedalboard": lambda: NativeBoard([]),
    "Resample to 8 kHz": lambda: pedalboard.Resample(8000, pedalboard.Resample.Quality.ZeroOrderHold),
    "Resample to 48 kHz": lambda: pedalboard.Resample(48_000),
}
CANNOT_STREAM = ("GSMFullRateCompressor", "PitchShift")
CAN_STREAM = [name for name in [*BUILT_IN, *MORE] if name not in CANNOT_STREAM]


def make(name: str) -> Plugin:
    return (BUILT_IN | MORE)[name]()


def test_the_list_is_pedalboards_whole_list() -> None:
    kinds = {
        name for name, kind in vars(pedalboard).items() if isinstance(kind, type) and issubclass(kind, Plugin)
    }
    hosts = {"AudioUnitPlugin", "ExternalPlugin", "VST3Plugin", "_klass"}
    abstract = {"Chain", "IIRFilter", "Mix", "Pedalboard", "Plugin", "PluginContainer"}
    assert kinds - hosts - abstract == set(BUILT_IN)


@pytest.mark.parametrize("audio", [noise(1), noise(2), noise(2, 1)], ids=["mono", "stereo", "1 sample"])
@pytest.mark.parametrize("name", [*BUILT_IN, *MORE])
def test_a_whole_signal_is_pedalboards(name: str, audio: np.ndarray) -> None:
    expected = NativeBoard([make(name)]).process(audio, RATE)
    np.testing.assert_array_equal(Board([make(name)]).process(audio, RATE), expected)


@pytest.mark.parametrize("name", [*BUILT_IN, *MORE])
def test_no_samples_in_give_no_samples(name: str) -> None:
    """In pedalboard itself, some plugins end the whole process here."""
    board = Board([make(name)])
    assert board.process(noise(2, 0), RATE).shape == (2, 0)
    if name not in CANNOT_STREAM:
        assert board.process(noise(2, 0), RATE, reset=False).shape == (2, 0)


@pytest.mark.parametrize("lengths", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("name", CAN_STREAM)
def test_a_stream_is_the_whole(name: str, lengths: list[int]) -> None:
    expected = NativeBoard([make(name)]).process(noise(), RATE)
    tolerance = CONVOLUTION_TOLERANCE if name == "Convolution" else 0
    np.testing.assert_allclose(stream(Board([make(name)]), noise(), lengths), expected, 0, tolerance)


@pytest.mark.parametrize("name", CANNOT_STREAM)
def test_what_cannot_stream_says_why(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name} cannot stream: .*; process the whole signal at once"):
        Board([make(name)]).process(noise(), RATE, reset=False)


def test_a_native_mix_of_late_plugins_cannot_stream() -> None:
    late = pedalboard.Mix([pedalboard.Gain(0), AddLatency(10)])
    np.testing.assert_array_equal(Board([late])(noise(), RATE), noise() * 2)
    with pytest.raises(RuntimeError, match=r"Mix cannot stream: .*use soundlasso.Mix"):
        Board([late]).process(noise(), RATE, reset=False)


@pytest.mark.parametrize("name", CAN_STREAM)
def test_the_reported_latency_is_what_a_stream_withholds_at_most(name: str) -> None:
    board, samples = Board([make(name)]), 0
    for _ in range(60):
        samples += board.process(noise(2, 256), RATE, reset=False).shape[1]
    withheld = 60 * 256 - samples
    assert withheld <= board.latency_samples <= withheld + 200
    assert not (is_never_late(make(name)) and board.latency_samples)


def native_chain() -> list[Plugin]:
    return [
        pedalboard.HighpassFilter(80),
        pedalboard.Chorus(),
        AddLatency(300),
        pedalboard.Phaser(),
        pedalboard.BrickwallLimiter(),
        pedalboard.Reverb(),
    ]


@pytest.mark.parametrize("lengths", CUTS.values(), ids=CUTS.keys())
def test_a_chain_with_python_effects_is_the_chain_without(lengths: list[int]) -> None:
    """Effects that pass audio on late change nothing, even before a chorus and a look-ahead limiter."""
    expected = NativeBoard(native_chain()).process(noise(), RATE)
    filters, chorus, late, *rest = native_chain()
    board = Board([filters, Late(4096), chorus, None, Board([late, Late(77), *rest])])
    np.testing.assert_array_equal(board(noise(), RATE), expected)
    np.testing.assert_array_equal(stream(board, noise(), lengths), expected)


@pytest.mark.parametrize("rate", [8000, 48_000, 44_100.5])
def test_other_rates_and_buffer_sizes(rate: float) -> None:
    expected = NativeBoard(native_chain()).process(noise(), rate, 300)
    np.testing.assert_array_equal(Board(native_chain()).process(noise(), rate, 300), expected)


def test_block_gives_a_block_for_a_block_late() -> None:
    board = Board([pedalboard.Invert(), Late(100), AddLatency(50)])
    board.prepare(RATE, 2, 512)
    blocks = [board.block(noise()[:, at : at + 300]) for at in range(0, 3000, 300)]
    late = np.concatenate(blocks, axis=1)
    assert board.latency_samples == 150
    np.testing.assert_array_equal(late, np.pad(-noise()[:, :2850], ((0, 0), (150, 0))))


def test_an_empty_board_is_a_copy() -> None:
    for board in (Board(), Board([]), Board([None]), Board([Board()])):
        np.testing.assert_array_equal(board(noise(), RATE), noise())
        np.testing.assert_array_equal(stream(board, noise(), [509]), noise())


def test_a_change_of_rate_or_channels_begins_a_new_stream() -> None:
    board = Board([pedalboard.Delay(0.01)])
    board.process(noise(), RATE, reset=False)
    fresh = Board([pedalboard.Delay(0.01)]).process(noise(1), RATE, reset=False)
    np.testing.assert_array_equal(board.process(noise(1), RATE, reset=False), fresh)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_blocks_shorter_than_the_channels_are_not_turned_over(samples: int) -> None:
    audio, rest = noise(3, 300), noise(3, samples, seed=1)
    board = Board([Late(299), pedalboard.HighpassFilter(80), pedalboard.Delay(0.001)])
    native = NativeBoard([pedalboard.HighpassFilter(80), pedalboard.Delay(0.001)])
    np.testing.assert_array_equal(board(audio, RATE), native(audio, RATE))
    np.testing.assert_array_equal(board(rest, RATE), native(rest, RATE))
    both = np.concatenate([audio, rest], axis=1)
    board.reset()
    parts = [board.process(audio, RATE, reset=False), board.process(rest, RATE, reset=False), board.flush()]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), native(both, RATE))


def test_after_a_reset_the_channels_are_told_anew() -> None:
    """Five channels, then two channels of five samples."""
    audio, board = noise(2, 5), Board([pedalboard.HighpassFilter(80)])
    board(noise(5, 9), RATE)
    board.reset()
    np.testing.assert_array_equal(
        board(audio, RATE), NativeBoard([pedalboard.HighpassFilter(80)])(audio, RATE)
    )
