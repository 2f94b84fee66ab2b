"""The engine of a network with context on both sides: AudioSep's ResUNet30 by windows.

Windows lie at absolute positions of the stream, one every hop, each with `past` and `future` frames
around the frames that it decides on:

    |----- past -----|------ hop ------|-- fade --|-- rest of future --|     window i
                     |----- past ------|------ hop ------|-- fade --|...     window i + 1

Over the fade, gains go from window i's to window i + 1's. All three parts are whole multiples of the
network's stride of 32 frames (0.32 s), so each window halves the same frames as a pass over the whole
signal would, and with 3.2 s on both sides every gain is that pass's gain. Before and after the
signal lies silence.

Windows that are there at once, as a file gives them, and queries are batched, as many as the network is
fastest with: four on an accelerator, one on a processor, which is as busy with one as with four, and where
one alone takes a quarter of the memory. No window waits for another.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from soundlasso.dsp.gate import PresenceGate
from soundlasso.dsp.masks import compete
from soundlasso.models.engine import Asked, Audio, Profile
from soundlasso.models.host_rate import HostRate
from soundlasso.models.resunet import FRAME_STRIDE, HOP_LENGTH, N_FFT, SAMPLE_RATE, gain
from soundlasso.models.resunet_folded import Maps, WindowNetwork
from soundlasso.models.spectra import EARLY_SAMPLES, FrameWindow, SpectrumReader, SpectrumWriter, resized

# Nearly all the context that the network can use: -86 dB from a pass over the whole file with weights of
# noise, -130 dB with trained ones, where 3.2 s give -108 and -132 and cost more (benchmarks.resunet_context).
OFFLINE = Profile(hop_s=6.4, past_s=2.56, future_s=2.56)
LIVE = Profile(hop_s=0.64, past_s=1.28, future_s=0.32)
FRAME_RATE = SAMPLE_RATE / HOP_LENGTH
FADE_FRAMES = 8
_SILENT_ENERGY = 1e-5  # of a frame, that of noise at -109 dBFS: below it nothing is there
_FRAMES_AT_ONCE = 64  # whose stems are made: what many queries take in memory
_EDGE_FRAMES = math.ceil(N_FFT / HOP_LENGTH) - 1  # until no later frame touches a sample


class WindowEngine:
    """One mixture through ResUNet30, any number of queries, a window at a time.

    `stereo="linked"` hears all channels as one (the mean power of a bin, in which nothing cancels) and puts
    one gain on all; `"independent"` hears each channel alone. Times of the profile are rounded up to 0.32 s.
    """

    def __init__(
        self,
        network: WindowNetwork,
        sample_rate: float,
        channels: int,
        stereo: str,
        profile: Profile = OFFLINE,
    ) -> None:
        self._network, self._channels, self._stereo = network, channels, stereo
        self._hop, self._past, self._future = map(_frames, (profile.hop_s, profile.past_s, profile.future_s))
        self._fade = min(FADE_FRAMES, self._future)
        self._host = HostRate(sample_rate, SAMPLE_RATE, channels)
        self._wait = self._host.whole((self._hop + self._future + _EDGE_FRAMES) * HOP_LENGTH)
        self.latency_samples = self._host.latency_samples + self._host.host_samples(self._wait)
        self.hop_samples = self._host.host_samples(self._hop * HOP_LENGTH)
        self._device = network.device
        window = self._past + self._hop + self._future
        rows = 1 if stereo == "linked" else channels
        self._shape = rows, window, self._past, self._future - self._fade
        self._maps: Maps | None = None
        self._window = FrameWindow(channels, window, self._past, self._device)
        self._reader = SpectrumReader(channels, self._device)
        self._writer = SpectrumWriter(channels, self._device)
        self._gate = PresenceGate(0, FRAME_RATE)
        self._asked: Asked | None = None
        self._tail: Tensor | None
        self._ready: Tensor
        self.reset()

    @property
    def presence(self) -> npt.NDArray[np.float64]:
        """How surely each sound is there now.  Shape: (queries,), 0 to 1."""
        return self._gate.presence.copy()

    @property
    def frame_rate(self) -> float:
        """How often presence is found, in Hz."""
        return self._gate.frame_rate

    def take_presence(self) -> npt.NDArray[np.float64]:
        """Return the presence at each frame since this was last called.  Shape: (queries, frames)."""
        return self._gate.take_history()

    @torch.inference_mode()
    def ask(self, asked: Asked) -> None:
        """Give other stems from the next window on, cross-faded; a query's shifts are computed once, here."""
        vectors = torch.cat((asked.queries, asked.avoid)).to(self._device)
        if self._maps is None:  # not before, for a text tower is let go of once it has encoded the queries
            self._maps = self._network.window(*self._shape)
        shifts = torch.stack([self._network.shifts(vector) for vector in vectors])
        self._shifts: Sequence[Tensor] = torch.split(shifts, self._network.queries_at_once)
        self._asked = asked
        queries = len(asked.queries)
        for part in (self._writer, self._host, self._gate):
            part.resize(queries)
        self._gate.open_at(asked.gate_thresholds)
        self._ready = resized(self._ready, queries)
        if self._tail is not None:
            self._tail = resized(self._tail, queries)

    def reset(self) -> None:
        """Be as new, but remember what was asked."""
        for part in (self._reader, self._window, self._writer, self._host, self._gate):
            part.reset()
        self._tail = None
        silent = self._wait - EARLY_SAMPLES
        self._ready = torch.zeros(self._gate.queries, self._channels, silent, device=self._device)

    @torch.inference_mode()
    def process(self, block: Audio) -> Audio:
        """Shape: (channels, n) -> (queries, channels, n)."""
        samples = torch.from_numpy(self._host.inward(block)).to(self._device)
        stems = [self._ready]
        for few in self._batches(self._windows(samples)):
            stems += self._separate(few)
        count = samples.shape[-1]
        ready = torch.cat(stems, -1)
        self._ready = ready[..., count:].clone()
        return self._host.outward(ready[..., :count].cpu().numpy())

    def _windows(self, samples: Tensor) -> Iterator[Tensor]:
        """Take samples; give each window that they fill, (C, T, bins), which lasts until the next one."""
        step = self._hop * HOP_LENGTH
        for start in range(0, samples.shape[-1], step):  # however long the block, few spectra at once
            left = self._window.fill(self._reader.process(samples[:, start : start + step]))
            while (window := self._window.full) is not None:
                yield window
                self._window.advance(self._hop)
                left = self._window.fill(left)

    def _batches(self, windows: Iterator[Tensor]) -> Iterator[list[Tensor]]:
        """Gather as many windows as the network takes at once; the last batch may be smaller."""
        most, few = self._network.windows_at_once, list[Tensor]()
        for window in windows:
            few.append(window if most == 1 else window.clone())
            if len(few) == most:
                yield few
                few = []
        if few:
            yield few

    def _separate(self, windows: Sequence[Tensor]) -> Iterator[Tensor]:
        """Give the stems of windows, (C, T, bins) each -> (Q, C, samples), some frames at a time."""
        every = self._gains(torch.cat([_magnitudes(window, self._stereo) for window in windows]))
        for window, gains in zip(windows, every.chunk(len(windows), 1), strict=True):
            yield from self._stems(window, self._faded(gains))

    def _stems(self, window: Tensor, gains: Tensor) -> Iterator[Tensor]:
        """Give the stems of a window by its gains, (Q, C or 1, hop, bins)."""
        heard = window[:, self._past : self._past + self._hop]
        for start in range(0, self._hop, _FRAMES_AT_ONCE):
            few = slice(start, start + _FRAMES_AT_ONCE)
            some = gains[:, :, few]
            yield self._writer.process(heard[:, few] * some * self._opened(some, heard[:, few]))

    def _gains(self, magnitudes: Tensor) -> Tensor:
        """Return each query's gains, (B, T, bins) -> (Q, B, hop + fade, bins)."""
        assert self._asked is not None, "a stream asks before it processes"
        every = torch.cat([self._query_gains(magnitudes, few) for few in self._shifts])
        avoided, consistent = len(self._asked.avoid), self._asked.consistent
        if len(every) == 1 or not (avoided or consistent):
            return every
        levels = every.abs()
        share = compete(levels, avoided, consistent)
        wanted = len(share)
        return every[:wanted] * (share / levels[:wanted].clamp(min=1e-12))

    def _query_gains(self, magnitudes: Tensor, shifts: Tensor) -> Tensor:
        """Return the gains of queries that are computed at once, (B, T, bins) -> (Q, B, hop + fade, bins)."""
        assert self._maps is not None
        rows, queries = len(magnitudes), len(shifts)
        if queries == 1:
            return gain(self._maps(magnitudes, shifts[0]))[None]
        maps = self._maps(magnitudes.repeat(queries, 1, 1), shifts.repeat_interleave(rows, 0))
        gains = gain(maps)
        return gains.reshape(queries, rows, *gains.shape[1:])

    def _faded(self, gains: Tensor) -> Tensor:
        """Return the gains of the hop, faded in from the last window's."""
        tail, self._tail = self._tail, gains[:, :, self._hop :].clone()
        gains = gains[:, :, : self._hop]
        if tail is not None and self._fade:
            rise = torch.arange(1, self._fade + 1, device=gains.device)[:, None] / (self._fade + 1)
            gains[:, :, : self._fade].mul_(rise).add_(tail * (1 - rise))
        return gains

    def _opened(self, gains: Tensor, heard: Tensor) -> Tensor:
        """Return the gate's gains, (Q, 1, hop, 1).

        The evidence for a sound is its own gain, averaged over its stem's energy: near one where it is
        there, small where the network only hedges, whatever its level in the mixture.
        """
        assert self._asked is not None
        power = _magnitudes(heard, self._stereo).square()
        levels = gains.abs()
        energy = levels.square() * power
        speaking_for = (energy * levels).sum((1, 3))
        all_of_it = energy.sum((1, 3)) + 1e-3 * power.sum((0, 2)) + _SILENT_ENERGY
        opened, _ = self._gate.process(speaking_for.double().cpu().numpy(), all_of_it.double().cpu().numpy())
        gate = torch.from_numpy(opened.astype(np.float32)).to(self._device)
        return (gate if self._asked.gate else torch.ones_like(gate))[:, None, :, None]


def _frames(seconds: float) -> int:
    """Return the frames of a time, rounded up to the network's stride."""
    return math.ceil(round(seconds * FRAME_RATE / FRAME_STRIDE, 6)) * FRAME_STRIDE


def _magnitudes(spectra: Tensor, stereo: str) -> Tensor:
    """Return what the network hears, (C, T, bins) -> (1, T, bins) if linked, else (C, T, bins)."""
    power = spectra.real.square() + spectra.imag.square()
    heard = power.mean(0, keepdim=True) if stereo == "linked" else power
    return heard.clamp(min=1e-10).sqrt()
