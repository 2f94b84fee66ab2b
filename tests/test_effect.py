"""The surface of an effect, compared with pedalboard's own plugins; samples must be equal, no tolerance."""

from typing import Any

import numpy as np
import pedalboard
import pytest

from soundlasso.bridge.board import Board
from soundlasso.bridge.effect import Effect
from soundlasso.dsp.errors import AudioError
from soundlasso.dsp.samples import LOUDEST
from tests.board_helpers import CUTS, Audio, Late, NativeBoard, noise, stream


@pytest.mark.parametrize("samples", [0, 1, 3, 99, 100, 101, 9000])
@pytest.mark.parametrize("latency", [0, 1, 100, 8193])
def test_a_whole_signal_comes_back_in_place_and_in_length(latency: int, samples: int) -> None:
    audio = noise(2, samples)
    np.testing.assert_array_equal(Late(latency)(audio, 44_100), audio)


@pytest.mark.parametrize("lengths", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("latency", [0, 100, 30_000])
def test_any_cutting_and_a_flush_give_every_sample(latency: int, lengths: list[int]) -> None:
    audio = noise()
    np.testing.assert_array_equal(stream(Late(latency), audio, lengths), audio)


def test_a_stream_withholds_its_latency_as_pedalboard_does() -> None:
    effect = Late(100)
    lengths = [effect.process(noise(2, 64), 44_100, reset=False).shape[1] for _ in range(3)]
    assert lengths == [0, 28, 64]
    assert effect.flush().shape == (2, 100)


def test_after_a_flush_a_new_stream_begins() -> None:
    effect, audio = Late(100), noise()
    first = stream(effect, audio, [1000])
    again = np.concatenate([effect.process(audio, 44_100, reset=False), effect.flush()], axis=1)
    np.testing.assert_array_equal(again, first)


def test_without_latency_a_stream_goes_on_after_a_whole_call() -> None:
    sound = noise(2, 9000)
    reverb, delay = pedalboard.Reverb, pedalboard.Delay
    for ours, native in (
        (Board([reverb()]), NativeBoard([reverb()])),
        (Board([delay(0.01), Late(0)]), NativeBoard([delay(0.01)])),
    ):
        for i in range(3):
            part = sound[:, 3000 * i : 3000 * (i + 1)]
            expected = native.process(part, 44_100, reset=i == 0)
            np.testing.assert_array_equal(ours.process(part, 44_100, reset=i == 0), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(9,), (1, 9), (2, 9), (9, 2), (9, 1), (2, 0), (0, 2), (0,), (1, 1), (0, 0), (3, 3)]
)
def test_shapes_and_types_are_pedalboards(shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> None:
    audio: Any = np.ones(shape, dtype)
    native = NativeBoard([pedalboard.Gain(0)])
    try:
        expected = native.process(audio, 44_100)
    except RuntimeError:
        with pytest.raises(RuntimeError, match="cannot tell the channels of shape"):
            Late(4)(audio, 44_100)
        return
    got = Late(4)(audio, 44_100)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("second", [(2, 2), (2, 1), (1, 2), (5, 5), (7, 2), (2, 7)])
@pytest.mark.parametrize("first", [(2, 9), (9, 2), (1, 9), (5, 9)])
def test_the_channel_count_is_remembered_as_in_pedalboard(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    native, ours = NativeBoard([pedalboard.Gain(0)]), Late(0)
    opening = np.ones(first, np.float32)
    following = np.linspace(0, 0.5, second[0] * second[1], dtype=np.float32).reshape(second)
    for audio in (opening, following):
        expected = native.process(audio, 44_100, reset=False)
        np.testing.assert_array_equal(ours.process(audio, 44_100, reset=False), expected)


@pytest.mark.parametrize(
    "audio",
    [np.ones((2, 9), np.int16), np.ones((2, 9), np.float16), np.ones((2, 9), complex), [[1.0, 2.0]], None],
    ids=["int16", "float16", "complex", "list", "None"],
)
def test_other_kinds_of_audio_are_type_errors_as_in_pedalboard(audio: Any) -> None:
    for effect in (NativeBoard([]), Late(0)):
        with pytest.raises(TypeError):
            effect.process(audio, 44_100)


@pytest.mark.parametrize("buffer_size", [-1, 1.5, "8"])
def test_a_buffer_size_of_a_wrong_kind_is_a_type_error_as_in_pedalboard(buffer_size: Any) -> None:
    for effect in (NativeBoard([]), Late(0)):
        with pytest.raises(TypeError):
            effect.process(noise(2, 9), 44_100, buffer_size)


def test_what_pedalboard_never_returns_from_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer_size is 0; it must be at least 1"):
        Late(0)(noise(2, 9), 44_100, 0)


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4"])
def test_any_byte_order_is_audio_as_in_pedalboard(dtype: str) -> None:
    audio = noise(2, 99).astype(dtype)
    np.testing.assert_array_equal(Late(0)(audio, 44_100), NativeBoard([]).process(audio, 44_100))


@pytest.mark.parametrize("sample_rate", ["44100", None])
def test_a_sample_rate_of_a_wrong_kind_is_a_type_error_as_in_pedalboard(sample_rate: Any) -> None:
    for effect in (NativeBoard([]), Late(0)):
        with pytest.raises(TypeError):
            effect.process(noise(2, 9), sample_rate)
    with pytest.raises(TypeError, match=r"sample_rate is .*; it must be a number of Hz"):
        Late(0)(noise(2, 9), sample_rate)


@pytest.mark.parametrize("sample_rate", [0, -44_100, float("nan"), float("inf")])
def test_an_impossible_sample_rate_is_refused(sample_rate: float) -> None:
    with pytest.raises(AudioError, match="it must be above 0 Hz"):
        Late(0)(noise(2, 9), sample_rate)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e20])
def test_a_sample_that_cannot_be_is_refused_by_name(bad: float) -> None:
    audio = noise(2, 900)
    audio[1, 77] = bad
    with pytest.raises(AudioError, match=r"is (-?(nan|inf)|1e\+20) at channel 1, sample 77; samples must be"):
        Late(0)(audio, 44_100)


def test_very_loud_audio_is_not_taken_for_infinite() -> None:
    audio = np.full((2, 9), LOUDEST, np.float32)
    np.testing.assert_array_equal(Late(3)(audio, 44_100), audio)


def test_the_result_is_new_and_the_input_untouched() -> None:
    audio = noise(2, 100)
    before = audio.copy()
    for effect in (Board([]), Late(0, lambda samples: samples), Board([Late(0)])):
        effect(audio, 44_100)[:] = 7
        np.testing.assert_array_equal(audio, before)


def test_a_block_of_another_shape_is_reported_by_the_effects_name() -> None:
    class Left(Effect):
        def block(self, samples: Audio) -> Audio:
            return samples[:1]

    with pytest.raises(RuntimeError, match=r"Left.block returned shape \(1, 9\); it was given \(2, 9\)"):
        Left()(noise(2, 9), 44_100)


def test_an_effect_without_block_says_so() -> None:
    class Idle(Effect):
        pass

    with pytest.raises(TypeError, match=r"abstract class Idle .*block"):
        Idle()  # type: ignore[abstract]


def test_a_flush_with_nothing_before_is_empty() -> None:
    assert Late(5).flush().size == 0


@pytest.mark.parametrize("tail_seconds", [0.0, 0.5])
def test_stream_yields_every_sample_and_the_tail(tail_seconds: float) -> None:
    audio = noise()
    blocks = (audio[:, at : at + 1000] for at in range(0, audio.shape[1], 1000))
    got = np.concatenate(list(Late(2500).stream(blocks, 44_100, tail_seconds=tail_seconds)), axis=1)
    tail = np.zeros((2, round(tail_seconds * 44_100)), np.float32)
    np.testing.assert_array_equal(got, np.concatenate([audio, tail], axis=1))


def test_stream_of_nothing_is_nothing() -> None:
    assert list(Late(5).stream([], 44_100)) == []
