"""Short-time Fourier transform by whole signal and by stream, equal to each other.

Frame t looks back: it ends where hop t ends, so it covers samples (t + 1) * hop - n_fft up to
(t + 1) * hop, silence before the start.  With a Hann window on both sides and n_fft = 4 hops,

    sum over frames of window^2 = 3/2    (exactly, for every sample, from the first on)

so overlap-add divided by 3/2 gives the input back with nothing lost at either end.
"""

import math

import torch

OVERLAP = 4
_WINDOW_POWER = 1.5


class Hann:
    """Analysis and synthesis of frames of `OVERLAP` hops; the last axis is time or frequency."""

    def __init__(self, hop_length: int, device: torch.device | str = "cpu") -> None:
        if hop_length < 1:
            raise ValueError(f"hop_length must be 1 or more, not {hop_length!r}")
        self.hop_length = hop_length
        self.n_fft = OVERLAP * hop_length
        self.n_bins = self.n_fft // 2 + 1
        self.window = torch.hann_window(self.n_fft, periodic=True, device=device)
        self._synthesis = self.window / _WINDOW_POWER

    def n_frames(self, length: int) -> int:
        """Return how many frames touch a signal of `length` samples (0 for an empty one)."""
        return math.ceil(length / self.hop_length) + OVERLAP - 1 if length else 0

    def spectra(self, samples: torch.Tensor) -> torch.Tensor:
        """Transform every full frame of samples that begin n_fft - hop before the first frame's hop.

        Shape: (..., n_fft - hop + T * hop) -> (..., T, bins), complex.
        """
        spectra: torch.Tensor = torch.fft.rfft(samples.unfold(-1, self.n_fft, self.hop_length) * self.window)
        return spectra

    def frames(self, spectra: torch.Tensor) -> torch.Tensor:
        """Transform spectra to windowed frames, ready to be added up.

        Shape: (..., T, bins) -> (..., T, n_fft).
        """
        frames: torch.Tensor = torch.fft.irfft(spectra, n=self.n_fft)
        return frames.mul_(self._synthesis)

    def overlap_add(self, frames: torch.Tensor) -> torch.Tensor:
        """Add frames up at their places, one hop apart.

        Shape: (..., T, n_fft) -> (..., n_fft - hop + T * hop).
        """
        *batch, n_frames, _ = frames.shape
        if n_frames == 1:  # as live audio has it
            return frames.squeeze(-2)
        hop = self.hop_length
        total = frames.new_zeros(*batch, n_frames + OVERLAP - 1, hop)
        for part in range(OVERLAP):  # hop `part` of every frame lands `part` hops after its start
            total[..., part : part + n_frames, :] += frames[..., part * hop : (part + 1) * hop]
        return total.flatten(-2)


def stft(signal: torch.Tensor, hop_length: int) -> torch.Tensor:
    """Transform a whole signal.

    Shape: (..., length) -> (..., frames, 2 * hop + 1), complex; 0 samples give 0 frames.
    """
    hann = Hann(hop_length, signal.device)
    length = signal.shape[-1]
    n_frames = hann.n_frames(length)
    past = hann.n_fft - hop_length
    if n_frames == 0:
        return torch.zeros(*signal.shape[:-1], 0, hann.n_bins, dtype=torch.complex64, device=signal.device)
    return hann.spectra(torch.nn.functional.pad(signal, (past, n_frames * hop_length - length)))


def istft(spectra: torch.Tensor, hop_length: int, length: int) -> torch.Tensor:
    """Transform spectra back to a signal of `length` samples; the reverse of `stft`.

    Shape: (..., frames, bins) -> (..., length).
    """
    hann = Hann(hop_length, spectra.device)
    if length == 0:
        return torch.zeros(*spectra.shape[:-2], 0, device=spectra.device)
    past = hann.n_fft - hop_length
    return hann.overlap_add(hann.frames(spectra))[..., past : past + length]


class FrameReader:
    """Samples in, spectra out, as soon as a hop is complete; `latency` is all on the other side.

    Shape: process (channels, n) -> (channels, T, bins), T = hops completed by these samples.
    """

    def __init__(self, hann: Hann, channels: int) -> None:
        self.hann, self.channels = hann, channels
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        past = self.hann.n_fft - self.hann.hop_length
        self._samples = torch.zeros(self.channels, past, device=self.hann.window.device)

    def process(self, block: torch.Tensor) -> torch.Tensor:
        """Take samples; return the spectra of the frames that they complete."""
        hann = self.hann
        samples = torch.cat([self._samples, block], -1)
        past = hann.n_fft - hann.hop_length
        n_frames = (samples.shape[-1] - past) // hann.hop_length
        self._samples = samples[:, n_frames * hann.hop_length :]
        if n_frames == 0:
            return torch.zeros(self.channels, 0, hann.n_bins, dtype=torch.complex64, device=samples.device)
        return hann.spectra(samples[:, : past + n_frames * hann.hop_length])


class FrameWriter:
    """Spectra in, finished samples out: T frames give T hops, n_fft - hop samples late.

    Shape: process (..., T, bins) -> (..., T * hop); `batch` is the shape before (T, bins).
    """

    def __init__(self, hann: Hann, batch: tuple[int, ...]) -> None:
        self.hann, self.batch = hann, batch
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        past = self.hann.n_fft - self.hann.hop_length
        self._tail = torch.zeros(*self.batch, past, device=self.hann.window.device)

    def resize(self, count: int) -> None:
        """Keep the first `count` of the first axis; new ones start from silence."""
        kept = self._tail[:count]
        fresh = self._tail.new_zeros(max(0, count - len(kept)), *self._tail.shape[1:])
        self.batch = (count, *self.batch[1:])
        self._tail = torch.cat([kept, fresh])

    def process(self, spectra: torch.Tensor) -> torch.Tensor:
        """Take spectra; return the samples that no later frame touches."""
        done = spectra.shape[-2] * self.hann.hop_length
        if done == 0:
            return self._tail.new_zeros(*self.batch, 0)
        total = self.hann.overlap_add(self.hann.frames(spectra))
        past = self._tail.shape[-1]
        total[..., :past] += self._tail
        self._tail = total[..., done:].clone()
        return total[..., :done]


_SMALL_PRIMES = (2, 3, 5, 7, 11)


def host_hop(sample_rate: float, model_rate: float, model_hop: int) -> int:
    """Return the hop at `sample_rate` that lasts as long as the model's, to a percent or two.

    A transform of the same duration has its bins at the same frequencies, so a network can hear a host
    at any rate without resampling.  Of the lengths near, the nearest whose prime factors are small is
    taken: its transforms are fast.
    """
    wanted = max(1.0, model_hop * sample_rate / model_rate)
    near = sorted(range(max(1, int(wanted * 0.97)), int(wanted * 1.03) + 2), key=lambda h: abs(h - wanted))
    return next((hop for hop in near if _is_smooth(hop)), near[0])


def _is_smooth(number: int) -> bool:
    for prime in _SMALL_PRIMES:
        while number % prime == 0:
            number //= prime
    return number == 1
