import numpy as np
import pytest
import scipy.signal
import torch

from soundlasso.dsp.stft import FrameReader, FrameWriter, Hann, host_hop, istft, stft
from tests.signals import noise

HOP = 256
LENGTHS = [0, 1, 100, 255, 256, 257, 1023, 1024, 1025, 10_000]
ROUNDING = 2e-6  # float32 transforms of signals of about 0.1, against float64 ones or themselves


@pytest.mark.parametrize("length", LENGTHS)
def test_inverse_gives_the_signal_back(length: int) -> None:
    signal = torch.from_numpy(noise(2, length))
    back = istft(stft(signal, HOP), HOP, length)
    assert back.shape == signal.shape
    assert torch.all((back - signal).abs() <= ROUNDING)


def test_spectra_equal_those_of_scipy() -> None:
    signal = noise(1, 5000)[0]
    ours = stft(torch.from_numpy(signal), HOP).numpy()
    window = scipy.signal.get_window("hann", 4 * HOP, fftbins=True)
    padded = np.pad(signal.astype(np.float64), (3 * HOP, 4 * HOP))
    frames = [padded[t * HOP : t * HOP + 4 * HOP] for t in range(len(ours))]
    theirs = np.fft.rfft(np.array(frames) * window)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("size", [1, 17, 256, 509, 4000])
@pytest.mark.parametrize("length", [0, 1, 257, 4097])
def test_streamed_frames_equal_those_of_the_whole(size: int, length: int) -> None:
    signal = torch.from_numpy(noise(2, length))
    whole = stft(signal, HOP)
    padded = torch.nn.functional.pad(signal, (0, whole.shape[1] * HOP - length))
    reader = FrameReader(Hann(HOP), 2)
    parts = [reader.process(block) for block in torch.split(padded, size, -1)] if length else []
    streamed = torch.cat(parts, 1) if parts else whole
    assert streamed.shape == whole.shape
    assert torch.all((streamed - whole).abs() <= 1e-4 * (whole.abs().max() if length else 1))


@pytest.mark.parametrize("n_frames_each", [1, 2, 7])
def test_streamed_overlap_add_equals_the_whole(n_frames_each: int) -> None:
    signal = torch.from_numpy(noise(2, 10_000))
    spectra = stft(signal, HOP)
    writer = FrameWriter(Hann(HOP), (2,))
    streamed = torch.cat([writer.process(part) for part in torch.split(spectra, n_frames_each, 1)], -1)
    late = 3 * HOP
    assert torch.all(streamed[:, :late].abs() <= ROUNDING)
    assert torch.all((streamed[:, late : late + 10_000] - signal).abs() <= ROUNDING)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192_000])
def test_a_hop_lasts_as_long_at_any_rate(rate: int) -> None:
    assert host_hop(rate, 44100, 1024) / rate == pytest.approx(1024 / 44100, rel=0.02)


def test_a_hop_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="hop_length must be 1 or more, not 0"):
        Hann(0)
