"""Sound and its outline for a web page: small, self-contained, at its true level.

Sound is Opus in Ogg: every current browser plays it (Safari since 18.4), silence costs nothing, and it is a
quarter smaller than MP3 of the same quality.  It knows one rate that serves all, 48 kHz.
"""

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Audio = npt.NDArray[np.float32]

_RATE = 48_000
_WRITE_FRAMES = 48_000
_POINTS = 900  # of an outline: about one to a pixel
_LONG_S = 1200.0
_COMPRESSION, _LONG_COMPRESSION = 0.8, 0.92  # about 110 and 55 kbit/s in stereo


def encode_opus(
    blocks: Iterable[Audio], channels: int, sample_rate: int, seconds: float, gain: float
) -> bytes:
    """Encode sound for a browser.

    Parameters
    ----------
    blocks
        In order. Shape of each: ``(channels, samples)``.
    channels, sample_rate
        Of the sound, in Hz; more than two channels become their mean.
    seconds
        How long it is; beyond twenty minutes it is compressed harder.
    gain
        What every sample is multiplied by.

    Returns
    -------
    bytes
        An Ogg file of one or two channels.
    """
    target = io.BytesIO()
    compression = _COMPRESSION if seconds <= _LONG_S else _LONG_COMPRESSION
    shown = channels if channels <= 2 else 1
    with soundfile.SoundFile(
        target, "w", _RATE, shown, "OPUS", format="OGG", compression_level=compression
    ) as file:
        for block in _at_opus_rate(blocks, shown, sample_rate):
            for start in range(0, len(block), _WRITE_FRAMES):
                file.write(block[start : start + _WRITE_FRAMES] * np.float32(gain))
    return target.getvalue()


def _at_opus_rate(blocks: Iterable[Audio], channels: int, sample_rate: int) -> Iterator[Audio]:
    resampler = soxr.ResampleStream(sample_rate, _RATE, channels, "float32")
    for block in blocks:
        shown = block if len(block) == channels else block.mean(axis=0, keepdims=True)
        yield resampler.resample_chunk(np.ascontiguousarray(shown.T))
    yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


def data_uri(data: bytes, kind: str) -> str:
    """Return data as an address that needs no network; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@dataclass
class Outline:
    """The lowest and highest sample of each moment, gathered while sound passes.

    Parameters
    ----------
    frames
        How many samples per channel there will be.
    """

    frames: int
    low: npt.NDArray[np.float32] = field(init=False)
    high: npt.NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with silence."""
        points = max(1, min(_POINTS, self.frames))
        self.low, self.high = np.zeros(points, np.float32), np.zeros(points, np.float32)
        self._at = 0

    def watch(self, blocks: Iterable[Audio]) -> Iterator[Audio]:
        """Pass blocks on, looking at them.  Shape of each: ``(channels, samples)``."""
        for block in blocks:
            self.take(block)
            yield block

    def take(self, block: Audio) -> None:
        """Take the next samples.  Shape: ``(channels, samples)``."""
        if block.shape[1] == 0:
            return
        points = (np.arange(self._at, self._at + block.shape[1]) * len(self.low)) // max(self.frames, 1)
        starts = np.flatnonzero(np.diff(points, prepend=-1))
        where = points[starts]
        lows = np.minimum.reduceat(block.min(axis=0), starts)
        highs = np.maximum.reduceat(block.max(axis=0), starts)
        self.low[where] = np.minimum(self.low[where], lows)
        self.high[where] = np.maximum(self.high[where], highs)
        self._at += block.shape[1]

    @property
    def peak(self) -> float:
        """The largest sample so far, without its sign."""
        return float(max(self.high.max(), -self.low.min()))

    def path(self, scale: float) -> str:
        """Return an SVG path, one unit to a point and 100 high, for a full height of ``scale``."""
        up = 50 - 50 * np.clip(self.high / scale, -1, 1)
        down = 50 - 50 * np.clip(self.low / scale, -1, 1)
        forth = [f"{x} {y:.1f}" for x, y in enumerate(up)]
        back = [f"{x} {y + 0.4:.1f}" for x, y in reversed(list(enumerate(down)))]
        return f"M{'L'.join([*forth, *back])}Z"
