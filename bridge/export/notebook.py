"""Sounds in a notebook, to be heard at their true level to each other.

``IPython.display.Audio`` turns each sound up to full scale: a stem at -40 dB sounds as loud as the mix.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from soundlasso.bridge.export.listen import Audio
from soundlasso.bridge.export.page import Sound, make_fragment
from soundlasso.bridge.export.session import stem_colour
from soundlasso.dsp.errors import AudioError
from soundlasso.dsp.loudness import integrated_loudness
from soundlasso.dsp.metrics import level_db

_BLOCK_SAMPLES = 65536


class Listen:
    """Arrays that show themselves as players, waveforms and spectrograms.

    Parameters
    ----------
    sounds
        By name, such as mix and stems. Shape of each: ``(channels, samples)`` or ``(samples,)``.
    sample_rate
        In Hz, a whole number.
    title
        What is said to a screen reader.

    Raises
    ------
    AudioError
        A sound has another shape, no samples, or a sample that is not finite.

    Examples
    --------
    As the last line of a notebook's cell:

    >>> drums = np.zeros((2, 44100), np.float32)
    >>> Listen({"drums": drums}, 44100)
    Listen({'drums': (2, 44100)}, 44100)
    """

    def __init__(
        self, sounds: Mapping[str, npt.ArrayLike], sample_rate: float, *, title: str = "stems"
    ) -> None:
        self._sounds = {name: _checked(name, np.asarray(sound, np.float32)) for name, sound in sounds.items()}
        self._sample_rate = round(sample_rate)
        self._title = title

    def __repr__(self) -> str:
        """Show names and shapes."""
        shapes = {name: sound.shape for name, sound in self._sounds.items()}
        return f"Listen({shapes!r}, {self._sample_rate!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        sounds = [
            Sound(
                name,
                _blocks_of(audio),
                len(audio),
                audio.shape[1],
                self._sample_rate,
                stem_colour(name),
                self._figures(audio),
            )
            for name, audio in self._sounds.items()
        ]
        return make_fragment(self._title, sounds)

    def _figures(self, audio: Audio) -> dict[str, str]:
        loudness = integrated_loudness(audio, self._sample_rate)
        peak_db = level_db(float(np.abs(audio).max()))
        return {"peak": f"{peak_db:.1f} dBFS", "loudness": f"{loudness:.1f} LUFS"}


def _checked(name: str, audio: Audio) -> Audio:
    audio = audio[None] if audio.ndim == 1 else audio
    if audio.ndim != 2 or audio.size == 0 or len(audio) > 64:
        raise AudioError(f"cannot show {name!r} of shape {audio.shape!r}; expected (channels, samples)")
    if not np.isfinite(audio).all():
        raise AudioError(f"cannot show {name!r}: a sample is not finite")
    return audio


def _blocks_of(audio: Audio) -> Callable[[], Iterable[Audio]]:
    return lambda: (
        audio[:, start : start + _BLOCK_SAMPLES] for start in range(0, audio.shape[1], _BLOCK_SAMPLES)
    )
