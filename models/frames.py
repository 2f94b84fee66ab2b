"""The engine of lariat: frame by frame, at the host's own rate.

lariat hears magnitudes in bands only, so the host's signal is never resampled: a transform of the
same duration gives the same bands at any rate, and the gains go straight onto the host's spectrum.
The signal path is one transform there and back, exact to rounding, at every rate and bandwidth.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from soundlasso.dsp.bands import N_BINS, N_FFT, BandMap, log_magnitude
from soundlasso.dsp.gate import PresenceGate
from soundlasso.dsp.level import RunningLevel
from soundlasso.dsp.masks import compete
from soundlasso.dsp.stft import OVERLAP, FrameReader, FrameWriter, Hann, host_hop
from soundlasso.models.engine import Asked, Audio
from soundlasso.models.lariat_folded import LONGEST_RUN, FoldedLariat, Heard, Hearing, Query

MODEL_RATE = 44100
MODEL_HOP = N_FFT // 4
HEARD_LEVEL = 0.03  # RMS of a bin at the running level, in the middle of what training varied
_HANN_POWER = 3 / 8  # mean of the squared window
GAIN_POWER = 0.9
"""Where the network is unsure its gains are small, and the stem would be too quiet.  On validation mixtures
pairs of effects are 0.2 dB nearer so, others as near; 0.75 would leave 2 dB more of absent sounds."""
HEDGE = 0.07
"""Share of the mixture that is let through where presence is a third, and less where the sound more surely is
there, or is not.  On validation mixtures pairs of effects come 0.6 dB nearer so, all stems 0.1 dB on average,
and a decibel more is left of absent sounds."""
LEARNED_SHARE, LEARNED_POWER = 0.5, 3
"""How much the learned word weighs in presence, and the power it is raised to: it was learned with more
sounds that are there than people ask for.  On validation mixtures, where a tenth of the absent sounds pass,
11 % of present ones are missed so, and 13 % by the learned word alone."""
_FRAME_FLOOR, _LEVEL_FLOOR = 1e-3, 1e-3 * N_BINS * HEARD_LEVEL**2
"""Stems 30 dB under the frame, or under the running level, are no evidence."""


class FrameEngine:
    """One mixture through lariat, any number of queries.

    `stereo="linked"` hears all channels as one (the mean power of a bin over the channels, in which
    nothing cancels) and puts one mask on all; `"independent"` hears each channel alone.
    """

    def __init__(self, network: FoldedLariat, sample_rate: float, channels: int, stereo: str) -> None:
        self._network, self._channels, self._stereo = network, channels, stereo
        device = network.device
        self._hann = Hann(host_hop(sample_rate, MODEL_RATE, MODEL_HOP), device)
        self._bands = BandMap(self._hann.n_bins, device)
        self.hop_samples = self._hann.hop_length
        self.latency_samples = self._hann.n_fft - 1
        frame_rate = sample_rate / self.hop_samples
        self._reader = FrameReader(self._hann, channels)
        self._level = RunningLevel(frame_rate)
        self._hearing = Hearing(network, 1 if stereo == "linked" else channels)
        self._gate = PresenceGate(0, frame_rate)
        self._writer = FrameWriter(self._hann, (0, channels))
        self.learned_share = LEARNED_SHARE
        self._asked: Asked | None = None
        self._ready: Audio
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

    def ask(self, asked: Asked) -> None:
        """Give other stems from the next frame on; overlapping frames cross-fade."""
        self._query: Query = self._network.ask(
            torch.cat([asked.queries, asked.avoid]).to(self._network.device)
        )
        self._asked = asked
        count = len(asked.queries)
        self._gate.resize(count)
        if count != len(self._ready):
            self._writer.resize(count)
            fresh = np.zeros((max(0, count - len(self._ready)), *self._ready.shape[1:]), np.float32)
            self._ready = np.concatenate([self._ready[:count], fresh])
        self._gate.open_at(asked.gate_thresholds)

    def reset(self) -> None:
        """Be as new, but remember what was asked."""
        for part in (self._reader, self._level, self._hearing, self._gate, self._writer):
            part.reset()
        self._filling = OVERLAP - 1
        # Samples come out a hop at a time; up to hop - 1 of them may be asked for before.
        shape = (self._gate.queries, self._channels, self.hop_samples - 1)
        self._ready = np.zeros(shape, np.float32)

    @torch.inference_mode()
    def process(self, block: Audio) -> Audio:
        """Shape: (channels, n) -> (queries, channels, n)."""
        samples = torch.from_numpy(np.array(block, np.float32, order="C")).to(self._hann.window.device)
        done, n, longest = [self._ready], samples.shape[-1], LONGEST_RUN * self.hop_samples
        for start in range(0, n, longest):
            spectra = self._reader.process(samples[:, start : start + longest])
            if spectra.shape[1]:
                done.append(self._writer.process(self._separate(spectra)).cpu().numpy())
        ready = np.concatenate(done, -1) if len(done) > 1 else done[0]
        self._ready = ready[..., n:].copy()
        return ready[..., :n]

    def _separate(self, spectra: Tensor) -> Tensor:
        """Shape: (C, T, bins) -> (Q, C, T, bins)."""
        power = self._at_heard_level(self._bands.power_to_bands(self._heard_power(spectra)))  # (B, T, F)
        heard = self._hearing.hear(log_magnitude(power))
        return spectra * self._bands.gains_to_bins(self._gains(heard, power))

    def _heard_power(self, spectra: Tensor) -> Tensor:
        squares = torch.view_as_real(spectra).square()
        power = squares[..., 0] + squares[..., 1]  # a third of the time of a sum over two
        return power.mean(0, keepdim=True) if self._stereo == "linked" else power

    def _at_heard_level(self, power: Tensor) -> Tensor:
        """Bring frames to the level that the network knows, by the running level.

        Shape: (B, T, F) -> (B, T, F).
        """
        of_full_scale = self._hann.n_fft * _HANN_POWER * self._hann.n_bins  # power of a frame of samples at 1
        level = self._level.process(power.sum(-1).cpu().numpy() / of_full_scale)
        factor = HEARD_LEVEL**2 * N_BINS / of_full_scale / level  # as if the spectrum had the model's bins
        return power * torch.from_numpy(factor.astype(np.float32)).to(power.device)[..., None]

    def _gains(self, heard: Heard, power: Tensor) -> Tensor:
        assert self._asked is not None, "a stream asks before it processes"
        every = self._network.gain(heard, self._query)  # (Q + A, B, T, F)
        wanted = every[: self._gate.queries]
        learned = self._network.presence(heard, self._query)
        if learned is not None:
            learned = learned[: len(wanted)]
        speaking_for, heard_of = evidence(wanted, power, learned, self.learned_share)
        speaking_for[:, : self._filling] = 0  # the first frames, only partly filled, are evidence of nothing
        self._filling = max(0, self._filling - speaking_for.shape[1])
        opened, presence = (
            torch.from_numpy(each.astype(np.float32)).to(every.device)[:, None, :, None]  # (Q, 1, T, 1)
            for each in self._gate.process(speaking_for, heard_of)
        )
        every = every.pow(GAIN_POWER)
        every[: len(wanted)] = hedged(every[: len(wanted)], presence)
        gains = compete(every, len(self._asked.avoid), self._asked.consistent)
        return gains * opened if self._asked.gate else gains


def hedged(gains: Tensor, presence: Tensor) -> Tensor:
    """Let some of the mixture through, `HEDGE` of it, where it is unsure whether a sound is there.

    A stem that would have been missed keeps the sound in it then, instead of the little that the network
    let through by mistake.

    Shape: gains (Q, B, T, F), presence (Q, 1, T, 1), all 0 to 1 -> gains.
    """
    unsure = 27 / 4 * presence * (1 - presence).square()  # 1 at a third
    return gains + HEDGE * unsure * (1 - gains)


def evidence(
    gains: Tensor, power: Tensor, learned: Tensor | None, learned_share: float = LEARNED_SHARE
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return per query and frame what speaks for it, and how much was heard.

    A sound that is there has bands of its own, with gains near one; for one that is not, the network
    hedges with small gains everywhere.  So the evidence is the gain itself, averaged over the
    stem's energy: it does not depend on how loud the sound is in the mixture.  A stem 30 dB under
    the frame or the running level fades out of the average, so presence falls in a pause.

    A network that has learned presence is asked as well, and its word, to a power, weighs `learned_share`.

    Shape: gains (Q, B, T, F), power (B, T, F) as heard, learned (Q, B, T) -> (Q, T), (Q, T).
    """
    energy = gains.square() * power
    speaking_for = (energy * gains).sum((1, 3))
    heard = energy.sum((1, 3)) + (_FRAME_FLOOR * power.sum((0, 2)) + len(power) * _LEVEL_FLOOR)
    if learned is not None:
        said = learned.amax(1) ** LEARNED_POWER
        speaking_for = torch.lerp(speaking_for, said * heard, learned_share)
    return speaking_for.cpu().numpy().astype(np.float64), heard.cpu().numpy().astype(np.float64)
