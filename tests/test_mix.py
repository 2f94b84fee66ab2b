"""Parallel branches; TOLERANCE 0: sums of the same samples in the same order are equal."""

import numpy as np
import pedalboard
import pytest
from pedalboard_native._internal import AddLatency

from soundlasso.bridge.board import Board
from soundlasso.bridge.mix import Mix
from tests.board_helpers import CUTS, Late, NativeBoard, noise, stream

RATE = 44_100


def branches() -> list[Board]:
    return [
        Board([pedalboard.Gain(-6)]),
        Board([Late(4096), pedalboard.Chorus()]),
        Board([pedalboard.Resample()]),
        Board([AddLatency(100)]),
    ]


def test_a_whole_mix_is_the_sum_of_its_branches() -> None:
    expected = sum(branch(noise(), RATE) for branch in branches())
    np.testing.assert_array_equal(Mix(branches())(noise(), RATE), expected)


@pytest.mark.parametrize("lengths", CUTS.values(), ids=CUTS.keys())
def test_a_streamed_mix_is_aligned(lengths: list[int]) -> None:
    expected = sum(branch(noise(), RATE) for branch in branches())
    mix = Mix(branches())
    np.testing.assert_array_equal(stream(mix, noise(), lengths), expected)
    assert mix.latency_samples == 4096


def test_a_mix_of_native_plugins_is_pedalboards() -> None:
    native = pedalboard.Mix([pedalboard.Gain(-6), pedalboard.Reverb(), pedalboard.Invert()])
    expected = NativeBoard([native]).process(noise(), RATE)
    ours = Mix([pedalboard.Gain(-6), pedalboard.Reverb(), pedalboard.Invert()])
    np.testing.assert_array_equal(ours(noise(), RATE), expected)


def test_a_mix_of_nothing_is_silence_as_in_pedalboard() -> None:
    native = NativeBoard([pedalboard.Mix([])]).process(noise(), RATE)
    for mix in (Mix(), Mix([None])):
        np.testing.assert_array_equal(mix(noise(), RATE), native)
        np.testing.assert_array_equal(stream(mix, noise(), [509]), native)


def test_a_mix_inside_a_board_inside_a_mix() -> None:
    mix = Mix([Board([Mix([Late(10), Late(20)]), Late(5)]), pedalboard.Gain(0)])
    for got in (mix(noise(), RATE), stream(mix, noise(), [509])):
        np.testing.assert_array_equal(got, 3 * noise())


def test_a_branch_put_in_while_it_plays_joins_in_place() -> None:
    mix = Mix([Late(100)])
    audio = noise(2, 2000)
    before = mix.process(audio[:, :1000], RATE, reset=False)
    mix.append(Late(300))
    after = mix.process(audio[:, 1000:], RATE, reset=False)
    got = np.concatenate([before, after, mix.flush()], axis=1)
    np.testing.assert_array_equal(got, np.concatenate([audio[:, :1000], 2 * audio[:, 1000:]], axis=1))


def test_a_branch_taken_out_while_it_plays_falls_silent() -> None:
    mix = Mix([Late(0), Late(300)])
    audio = noise(2, 2000)
    before = mix.process(audio[:, :1000], RATE, reset=False)
    del mix[1]
    after = mix.process(audio[:, 1000:], RATE, reset=False)
    got = np.concatenate([before, after, mix.flush()], axis=1)
    np.testing.assert_array_equal(got, np.concatenate([2 * audio[:, :700], audio[:, 700:]], axis=1))


@pytest.mark.parametrize("put_back", [True, False], ids=["into the mix", "on its own"])
def test_a_branch_taken_out_begins_anew(put_back: bool) -> None:
    branch = Late(300)
    mix, audio = Mix([Late(0), branch]), noise(2, 1000)
    mix.process(audio, RATE, reset=False)
    mix.remove(branch)
    mix.process(audio, RATE, reset=False)
    mix.flush()
    if put_back:
        mix[:] = [branch]
    player = mix if put_back else branch
    got = np.concatenate([player.process(audio, RATE, reset=False), player.flush()], axis=1)
    np.testing.assert_array_equal(got, audio)
