"""Choose how a file is stored: container, sample format and size, all known before a sample is computed.

What a container cannot hold is refused here, because libsndfile 1.2.2 may crash on it or lose sound
without an error: Vorbis above 200 kHz ends the process (CVE-2024-50612), and a WAV of more than 4 GiB
gets a wrong size field, so such a file is written as RF64 (EBU Tech 3306), which WAV readers know.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.audiofile import AudioInfo
from soundlasso.dsp.errors import AudioFileError

_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_RIFF_LIMIT_BYTES = 0xFFFFFFFF
HEADER_BYTES = 4096  # more than any header that is written here
# FLAC and Vorbis end somewhere under this share of 16 and more bits; how far, only the sound knows.
_LEAST_PACKED_BYTES = 0.25


@dataclass(frozen=True)
class _Kind:
    """What one output format can hold."""

    subtypes: tuple[str, ...]
    default: str
    max_channels: int
    max_rate_hz: int


_KINDS = {
    "wav": _Kind(("FLOAT", "PCM_16", "PCM_24", "PCM_32", "PCM_U8"), "FLOAT", 64, 2_000_000_000),
    "flac": _Kind(("PCM_16", "PCM_24", "PCM_S8"), "PCM_24", 8, 655_350),
    "ogg": _Kind(("VORBIS",), "VORBIS", 64, 192_000),
}

FORMATS = tuple(_KINDS)
"""The output formats, which are also their file name endings."""

SUBTYPES = ("FLOAT", "PCM_24", "PCM_16", "same")
"""The sample formats that can be asked for; ``"same"`` keeps the input's where the container has it."""


@dataclass(frozen=True)
class OutputFormat:
    """How a file is stored: its container and sample format as libsndfile names them, and its shape."""

    container: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int

    @property
    def bits(self) -> int | None:
        """The bits of a sample; None when samples are not integers."""
        return _BITS.get(self.subtype)

    @property
    def is_exact(self) -> bool:
        """Whether a reader gets the very samples that were written, once rounded."""
        return self.container != "OGG"

    @property
    def least_bytes(self) -> int:
        """The bytes that the file takes at least: exact for WAV but for the header."""
        return int(self.frames * self.channels * _bytes_per_sample(self.container, self.subtype))


def _bytes_per_sample(container: str, subtype: str) -> float:
    return _LEAST_PACKED_BYTES if container in ("FLAC", "OGG") else _BITS.get(subtype, 32) / 8


def check_format(format: str, subtype: str | None) -> None:
    """Refuse a format or sample format that is not written, or a pair of them that do not go together.

    Raises
    ------
    AudioFileError
        With what would be right.
    """
    if format not in _KINDS:
        raise AudioFileError(f"no output format {format!r}; choose one of {', '.join(FORMATS)}")
    if subtype is not None and subtype not in SUBTYPES:
        raise AudioFileError(f"no sample format {subtype!r}; choose one of {', '.join(SUBTYPES)}")
    held = [known for known in SUBTYPES if known in _KINDS[format].subtypes]
    if subtype not in (None, "same", *held):
        choices = f"choose {' or '.join([*held, 'same'])}, or leave it out"
        raise AudioFileError(f"{format} does not hold {subtype!r}; {choices}")


def choose_format(
    info: AudioInfo, frames: int, *, format: str = "wav", subtype: str | None = None
) -> OutputFormat:
    """Choose how to store stems of an input.

    Parameters
    ----------
    info
        The input; rate and channels stay.
    frames
        The samples per channel that will be written.
    format
        One of `FORMATS`.
    subtype
        One of `SUBTYPES`; None is the format's own: FLOAT for WAV, PCM_24 for FLAC. ``"same"`` becomes that,
        too, when the input's cannot be written (MP3, 64-bit float).

    Returns
    -------
    OutputFormat
        The container (RF64 for a WAV beyond 4 GiB), sample format, and size.

    Raises
    ------
    AudioFileError
        The format is unknown, or cannot hold this sample format, rate or number of channels.
    """
    check_format(format, subtype)
    kind = _KINDS[format]
    chosen = _choose_subtype(kind, format, info.subtype, subtype)
    if info.channels > kind.max_channels:
        raise AudioFileError(
            f"{format} holds {kind.max_channels} channels at most, not {info.channels}; use wav"
        )
    if info.sample_rate > kind.max_rate_hz:
        raise AudioFileError(f"{format} holds {kind.max_rate_hz} Hz at most, not {info.sample_rate}; use wav")
    container = format.upper()
    size = frames * info.channels * _bytes_per_sample(container, chosen) + HEADER_BYTES
    if container == "WAV" and size > _RIFF_LIMIT_BYTES:
        container = "RF64"
    return OutputFormat(container, chosen, info.sample_rate, info.channels, frames)


def _choose_subtype(kind: _Kind, format: str, of_input: str, asked: str | None) -> str:
    if asked is None:
        return kind.default
    if asked == "same":
        wanted = _EIGHT_BIT[format] if of_input in ("PCM_U8", "PCM_S8") else of_input
        return wanted if wanted in kind.subtypes else kind.default
    return asked


_EIGHT_BIT = {"wav": "PCM_U8", "flac": "PCM_S8", "ogg": "VORBIS"}  # each container has its own sign


def to_integers(
    block: npt.NDArray[np.float32], bits: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], int]:
    """Round samples to integers, holding at full scale what exceeds it.

    Parameters
    ----------
    block
        The samples, full scale 1. Shape: any.
    bits
        The bits of the integers.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray, int)
        The integers at the top of 32 bits, as soundfile takes them; the values they stand for, float32;
        and how many samples were beyond full scale. Shape: as ``block``.
    """
    full = 2.0 ** (bits - 1)
    clipped = int(np.count_nonzero(np.abs(block) > 1.0))
    rounded = np.clip(np.rint(block.astype(np.float64) * full), -full, full - 1)
    return (rounded * 2.0 ** (32 - bits)).astype(np.int32), (rounded / full).astype(np.float32), clipped
