import numpy as np
import pytest
import soxr

from soundlasso.dsp.resample import StreamResampler, latency_samples
from tests.signals import noise, run

PAIRS = [
    (44100, 32000),
    (32000, 44100),
    (48000, 44100),
    (8000, 32000),
    (96000, 32000),
    (22050, 44100),
    (44100, 44100),
]


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
@pytest.mark.parametrize("size", [1, 17, 509, 44100])
@pytest.mark.parametrize("length", [0, 1, 100, 16_001])
def test_any_chunking_equals_soxr_on_the_whole(in_rate: int, out_rate: int, size: int, length: int) -> None:
    signal = noise(2, length)
    resampler = StreamResampler(in_rate, out_rate, 2)
    streamed = run(resampler.process, resampler.flush, signal, size)
    whole = soxr.resample(signal.T, in_rate, out_rate).reshape(-1, 2).T if length else signal
    late = resampler.latency_samples
    assert not streamed[:, :late].any()
    np.testing.assert_allclose(streamed[:, late:], whole, atol=1e-6)


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
@pytest.mark.parametrize("size", [1, 333])
def test_each_block_gives_what_is_due(in_rate: int, out_rate: int, size: int) -> None:
    resampler = StreamResampler(in_rate, out_rate, 1)
    given = taken = 0
    while taken < 20_000:
        given += resampler.process(np.zeros((1, size), np.float32)).shape[1]
        taken += size
        assert given == taken * out_rate // in_rate


@pytest.mark.parametrize(("in_rate", "out_rate"), PAIRS)
def test_latency_is_whole_samples_at_both_rates(in_rate: int, out_rate: int) -> None:
    assert latency_samples(in_rate, out_rate) * in_rate % out_rate == 0


def test_flush_leaves_it_as_new() -> None:
    resampler = StreamResampler(44100, 32000, 1)
    first = run(resampler.process, resampler.flush, noise(1, 5000), 100)
    second = run(resampler.process, resampler.flush, noise(1, 5000), 100)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="in_rate must be a positive number"):
        StreamResampler(rate, 44100, 1)
