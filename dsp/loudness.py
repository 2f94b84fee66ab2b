"""Loudness of a programme, measured while it passes, in the memory of its gating blocks alone.

Reference: Recommendation ITU-R BS.1770-4, annex 1. Its two filters are given there for 48 kHz; here they
come from the analogue prototypes that reproduce those coefficients at any rate, after Brecht De Man,
"Evaluation of implementations of the EBU R128 loudness measurement" (AES 145, 2018).
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import signal

from soundlasso.dsp.errors import AudioError

_SUBBLOCK_S = 0.1  # gating blocks of 400 ms start every 100 ms
_SUBBLOCKS = 4
_SHORT_TERM_SUBBLOCKS = 30
_RANGE_GATE_LU = -20.0  # the range's own, and what it spans of the short-term loudnesses
_RANGE_PERCENTILES = (10, 95)
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_OFFSET_LU = -0.691
_SURROUND_WEIGHT = 1.41
_SHELF_HZ = 1681.974450955533
_SILENT_STATE = 1e-30  # below this a filter rings on in denormal numbers, a hundred times slower
_WEIGHTS = {
    4: (1.0, 1.0, _SURROUND_WEIGHT, _SURROUND_WEIGHT),
    5: (1.0, 1.0, 1.0, _SURROUND_WEIGHT, _SURROUND_WEIGHT),
    6: (1.0, 1.0, 1.0, 0.0, _SURROUND_WEIGHT, _SURROUND_WEIGHT),
}


def k_weighting(sample_rate: float) -> npt.NDArray[np.float64]:
    """Design the two filters of BS.1770: a shelf for the head, then a high pass.

    Parameters
    ----------
    sample_rate
        In Hz.

    Returns
    -------
    numpy.ndarray
        Second-order sections as scipy has them. Shape: ``(2, 6)``.
    """
    return np.array([_head_shelf(sample_rate), _low_cut(sample_rate)])


def _head_shelf(sample_rate: float) -> list[float]:
    gain_db, q = 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * _SHELF_HZ / sample_rate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    b = [high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k]
    return [*(value / a0 for value in b), 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]


def _low_cut(sample_rate: float) -> list[float]:
    q, frequency_hz = 0.5003270373238773, 38.13547087602444
    k = math.tan(math.pi * frequency_hz / sample_rate)
    a0 = 1 + k / q + k * k
    return [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]


def channel_weights(channels: int) -> npt.NDArray[np.float64]:
    """Weigh channels by the layout usual for their number: quad, 5.0 and 5.1; else all alike.

    Returns
    -------
    numpy.ndarray
        Shape: ``(channels,)``.
    """
    return np.array(_WEIGHTS.get(channels, (1.0,) * channels))


class LoudnessMeter:
    """Integrated loudness of what is passed to `process`, in LUFS.

    Parameters
    ----------
    sample_rate
        In Hz.
    channels
        How many; see `channel_weights`.
    """

    def __init__(self, sample_rate: float, channels: int) -> None:
        self._sample_rate = sample_rate
        self._is_defined = sample_rate > 2 * _SHELF_HZ  # below that the shelf is no stable filter
        self._filters = k_weighting(sample_rate)
        self._weights = channel_weights(channels)
        self.reset()

    def reset(self) -> None:
        """Forget all sound."""
        self._state = np.zeros((len(self._filters), len(self._weights), 2))
        self._position = 0
        self._open_energy = 0.0
        self._energies: list[float] = []  # of each whole 100 ms, weighted over channels

    def process(self, block: npt.NDArray[np.float32]) -> None:
        """Take in the next samples.

        Parameters
        ----------
        block
            Any number of samples. Shape: ``(channels, samples)``.

        Raises
        ------
        AudioError
            The number of channels is another one.
        """
        if block.ndim != 2 or len(block) != len(self._weights):
            raise AudioError(
                f"cannot measure a block of shape {block.shape!r}; expected {len(self._weights)} channels"
            )
        if block.shape[1] == 0 or not self._is_defined:
            return
        filtered, self._state = signal.sosfilt(self._filters, block, axis=1, zi=self._state)
        self._state[np.abs(self._state) < _SILENT_STATE] = 0.0
        power = np.einsum("c,cn,cn->n", self._weights, filtered, filtered)
        start = 0
        while (end := self._next_boundary() - self._position) <= len(power):
            self._energies.append(self._open_energy + float(power[start:end].sum()))
            self._open_energy, start = 0.0, end
        self._open_energy += float(power[start:].sum())
        self._position += len(power)

    def _next_boundary(self) -> int:
        return round((len(self._energies) + 1) * _SUBBLOCK_S * self._sample_rate)

    @property
    def integrated_lufs(self) -> float:
        """The gated loudness so far; minus infinity for silence, below 400 ms and below 3.4 kHz."""
        powers = self._powers(_SUBBLOCKS)
        powers = powers[powers > _power(_ABSOLUTE_GATE_LUFS)]
        if len(powers) == 0:
            return -math.inf
        gated = powers[powers > powers.mean() * 10 ** (_RELATIVE_GATE_LU / 10)]
        return _lufs(gated.mean())

    @property
    def momentary_lufs(self) -> float:
        """The loudest 400 ms so far; minus infinity before there are as many."""
        return _lufs(self._powers(_SUBBLOCKS).max(initial=0.0))

    @property
    def short_term_lufs(self) -> float:
        """The loudest 3 s so far; minus infinity before there are as many."""
        return _lufs(self._powers(_SHORT_TERM_SUBBLOCKS).max(initial=0.0))

    @property
    def range_lu(self) -> float | None:
        """The loudness range after EBU Tech 3342; None when nothing passes its gates."""
        powers = self._powers(_SHORT_TERM_SUBBLOCKS)
        powers = powers[powers > _power(_ABSOLUTE_GATE_LUFS)]
        if len(powers) == 0:
            return None
        gated = powers[powers > powers.mean() * 10 ** (_RANGE_GATE_LU / 10)]
        soft, loud = np.percentile(10 * np.log10(gated), _RANGE_PERCENTILES)
        return float(loud - soft)

    def _powers(self, subblocks: int) -> npt.NDArray[np.float64]:
        """Return the mean power of each run of so many 100 ms, none when there are fewer."""
        if len(self._energies) < subblocks:
            return np.zeros(0)
        samples = subblocks * _SUBBLOCK_S * self._sample_rate
        return np.convolve(np.array(self._energies), np.ones(subblocks), "valid") / samples


def _lufs(power: float) -> float:
    return _OFFSET_LU + 10 * math.log10(power) if power > 0 else -math.inf


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LU) / 10))


def integrated_loudness(audio: npt.NDArray[np.float32], sample_rate: float) -> float:
    """Measure the integrated loudness of a whole recording, in LUFS.

    Parameters
    ----------
    audio
        Shape: ``(channels, samples)``.
    sample_rate
        In Hz.

    Returns
    -------
    float
        Minus infinity for silence and for less than 400 ms.
    """
    meter = LoudnessMeter(sample_rate, len(audio))
    meter.process(audio)
    return meter.integrated_lufs
