"""Loudness after BS.1770-4, against pyloudnorm with the same filters and against the standard's figures.

Tolerances: 0.001 LU from pyloudnorm, 0.02 LU from the standard's reference level, and 1e-9 LU between
chunkings.
"""

import math

import numpy as np
import pyloudnorm
import pytest

from soundlasso.dsp.errors import AudioError
from soundlasso.dsp.loudness import LoudnessMeter, channel_weights, integrated_loudness, k_weighting
from tests.signals import Audio, blocks, noise, sine

TOLERANCE_LU = 0.001
REFERENCE_TOLERANCE_LU = 0.02
CHUNKING_TOLERANCE_LU = 1e-9

# BS.1770-4, tables 1 and 2.
ITU_48K = [
    [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
    [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
]


def speech_like(channels: int, rate: int) -> Audio:
    """Loud, quiet (just under the relative gate) and silent (under the absolute gate) seconds."""
    audio = noise(channels, 7 * rate + 33)
    audio[:, :rate] *= 3
    audio[:, 2 * rate : 4 * rate] *= 0.3
    audio[:, 5 * rate : 6 * rate] = 0
    return audio


def test_the_filters_are_those_of_the_standard() -> None:
    np.testing.assert_allclose(k_weighting(48000), ITU_48K, atol=2e-8)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_loudness_is_pyloudnorms(rate: int, channels: int) -> None:
    audio = speech_like(channels, rate)
    expected = pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(audio.T.astype(np.float64))
    assert integrated_loudness(audio, rate) == pytest.approx(expected, abs=TOLERANCE_LU)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_reference_tone_has_the_reference_loudness(channels: int) -> None:
    tone = np.repeat(sine(997, 48000, 20 * 48000, level=1.0), channels, axis=0)
    expected = -3.01 + 10 * math.log10(channels)  # BS.1770-4, annex 1: 0 dBFS at 997 Hz in one channel
    assert integrated_loudness(tone, 48000) == pytest.approx(expected, abs=REFERENCE_TOLERANCE_LU)


@pytest.mark.parametrize("size", [1, 17, 509, 8193])
def test_any_chunking_measures_the_whole(size: int) -> None:
    audio = speech_like(2, 8000)[:, : 6_000 if size == 1 else None]
    meter = LoudnessMeter(8000, 2)
    for block in blocks(audio, size):
        meter.process(block)
    assert meter.integrated_lufs == pytest.approx(integrated_loudness(audio, 8000), abs=CHUNKING_TOLERANCE_LU)


def test_reset_forgets() -> None:
    meter = LoudnessMeter(8000, 1)
    meter.process(noise(1, 9000, seed=1))
    meter.reset()
    meter.process(noise(1, 9000))
    assert meter.integrated_lufs == integrated_loudness(noise(1, 9000), 8000)


@pytest.mark.parametrize("length", [0, 1, 3199])
def test_less_than_a_gating_block_has_no_loudness(length: int) -> None:
    assert integrated_loudness(noise(1, length), 8000) == -math.inf


@pytest.mark.parametrize("rate", [1000, 3300])
def test_a_rate_below_the_filters_has_no_loudness(rate: int) -> None:
    assert integrated_loudness(noise(1, 3 * rate), rate) == -math.inf


def test_silence_has_no_loudness() -> None:
    assert integrated_loudness(np.zeros((2, 80_000), np.float32), 8000) == -math.inf


def test_surround_channels_weigh_more_and_the_lfe_nothing() -> None:
    assert channel_weights(6).tolist() == [1, 1, 1, 0, 1.41, 1.41]
    assert channel_weights(2).tolist() == [1, 1]
    assert channel_weights(12).tolist() == [1] * 12


def test_other_channels_are_refused() -> None:
    with pytest.raises(AudioError, match="expected 2 channels"):
        LoudnessMeter(8000, 2).process(noise(3, 10))
