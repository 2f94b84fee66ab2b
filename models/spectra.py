"""ResUNet30's transform as a stream: samples in, spectra out, and back.

Frames lie as in `resunet.stft`, with `EARLY_FRAMES` of silence before the one that is centred on the
first sample, so that every frame is there which holds a part of the signal.
"""

import torch
from torch import Tensor
from torch.nn.functional import fold

from soundlasso.models.resunet import FRAME_STRIDE, HOP_LENGTH, N_FFT

EARLY_FRAMES = FRAME_STRIDE  # no fewer, so that windows halve the same frames as a whole pass
EARLY_SAMPLES = EARLY_FRAMES * HOP_LENGTH + N_FFT // 2  # what they hold


class SpectrumReader:
    """Samples in, the spectra that they complete out.

    Shape: process (channels, n) -> (channels, T, 1025).
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self._window = torch.hann_window(N_FFT, device=device)
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self._samples = torch.zeros(self._channels, EARLY_SAMPLES, device=self._window.device)

    def process(self, samples: Tensor) -> Tensor:
        """Take samples; return the spectra of the frames that end in them."""
        held = torch.cat((self._samples, samples), -1)
        frames = max(0, (held.shape[-1] - N_FFT) // HOP_LENGTH + 1)
        self._samples = held[:, frames * HOP_LENGTH :].clone()
        if frames == 0:
            return torch.zeros(self._channels, 0, N_FFT // 2 + 1, dtype=torch.complex64, device=held.device)
        spectra: Tensor = torch.fft.rfft(held.unfold(-1, N_FFT, HOP_LENGTH) * self._window)
        return spectra


class SpectrumWriter:
    """Spectra in, the samples that no later frame touches out: T frames give 320 T samples.

    Frames are added up under the window that they were taken with, and divided by the sum of its squares.

    Shape: process (Q, channels, T, 1025) -> (Q, channels, 320 T), `EARLY_SAMPLES` early.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self._window = torch.hann_window(N_FFT, device=device)
        self._channels = channels
        self._queries = 0
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        kept, device = N_FFT - HOP_LENGTH, self._window.device
        self._stems = torch.zeros(self._queries, self._channels, kept, device=device)
        self._weight = torch.zeros(kept, device=device)

    def resize(self, queries: int) -> None:
        """Keep the first `queries` stems; new ones start from silence."""
        self._queries = queries
        self._stems = resized(self._stems, queries)

    def process(self, spectra: Tensor) -> Tensor:
        """Take spectra; return samples."""
        frames = torch.fft.irfft(spectra, n=N_FFT) * self._window
        stems = _add_up(frames)
        weight = _add_up(self._window.square().expand(1, 1, spectra.shape[-2], N_FFT))[0, 0]
        kept, done = self._weight.shape[-1], spectra.shape[-2] * HOP_LENGTH
        stems[..., :kept] += self._stems
        weight[:kept] += self._weight
        self._stems, self._weight = stems[..., done:].clone(), weight[done:].clone()
        return stems[..., :done] / weight[:done].clamp(min=1e-11)


class FrameWindow:
    """The newest frames of a stream, in memory that is taken once: full ones are looked at, then moved on.

    It begins with `silent` frames of silence.
    """

    def __init__(self, channels: int, frames: int, silent: int, device: torch.device) -> None:
        self._frames, self._silent = frames, silent
        room = 2 * frames  # so that what is kept moves to the front once a window, over what is done with
        self._room = torch.zeros(channels, room, N_FFT // 2 + 1, dtype=torch.complex64, device=device)
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._first, self._end = 0, self._silent
        self._room[:, : self._silent] = 0

    def fill(self, spectra: Tensor) -> Tensor:
        """Take the frames that are missing; return those that found no room."""
        missing = self._first + self._frames - self._end
        taken = spectra[:, :missing]
        self._room[:, self._end : self._end + taken.shape[1]] = taken
        self._end += taken.shape[1]
        return spectra[:, taken.shape[1] :]

    @property
    def full(self) -> Tensor | None:
        """The window's frames, (channels, frames, 1025), until it moves on; None while some are missing."""
        return self._room[:, self._first : self._end] if self._end - self._first == self._frames else None

    def advance(self, frames: int) -> None:
        """Let go of the first frames."""
        self._first += frames
        if self._first + self._frames > self._room.shape[1]:
            kept = self._end - self._first
            self._room[:, :kept] = self._room[:, self._first : self._end]
            self._first, self._end = 0, kept


def resized(stems: Tensor, queries: int) -> Tensor:
    """Return the first `queries` of `stems`, and zeros for those that are new."""
    new = stems.new_zeros(max(0, queries - len(stems)), *stems.shape[1:])
    return torch.cat((stems[:queries], new))


def _add_up(frames: Tensor) -> Tensor:
    """Add frames up one hop apart, (Q, C, T, N_FFT) -> (Q, C, N_FFT - 320 + 320 T)."""
    queries, channels, count, _ = frames.shape
    length = N_FFT + (count - 1) * HOP_LENGTH
    columns = frames.reshape(queries * channels, count, N_FFT).mT
    added = fold(columns, (1, length), (1, N_FFT), stride=(1, HOP_LENGTH))
    return added.reshape(queries, channels, length)
