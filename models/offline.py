"""Whole arrays through the stream, in one line."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from soundlasso.dsp.errors import AudioError, Cancelled
from soundlasso.dsp.gate import USUAL_THRESHOLD
from soundlasso.models.engine import Audio, Profile
from soundlasso.models.separator import DEFAULT_MODEL, MAX_CHANNELS, Separator, Stereo, load_model
from soundlasso.models.stream import Keep, SeparationStream

_BLOCK_S = 10.0


def separate(
    audio: npt.NDArray[np.floating],
    sample_rate: float,
    queries: str | Sequence[str],
    *,
    model: Separator | str | Path = DEFAULT_MODEL,
    stereo: Stereo = "linked",
    gate: bool = True,
    gate_threshold: float | Sequence[float] = USUAL_THRESHOLD,
    consistent: bool = False,
    avoid: Sequence[str] | str = (),
    keep: Keep = "stem",
    duck_db: float | None = None,
    profile: Profile | None = None,
    progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
) -> Audio:
    """Separate a whole array; see `SeparationStream` for the settings.

    Parameters
    ----------
    audio
        The mixture, float32 or float64, 1-D for mono or (channels, samples).
    sample_rate
        In Hz.
    queries
        One text, or a list of them.
    progress
        Called with the fraction done, 0 to 1.
    cancel
        When set, the work ends with `Cancelled` at the next block.

    Returns
    -------
    The stem, with the shape of `audio`, for a single text; with a list, (queries, *shape of audio).
    The stems lie in time where they lay in the mixture.

    Raises
    ------
    QueryError, AudioError, ModelError, ValueError, Cancelled
        When a text, the audio, the model or a setting cannot be, or the caller asked to stop.

    Examples
    --------
    >>> import numpy as np
    >>> mixture = np.zeros((2, 44100), np.float32)
    >>> separate(mixture, 44100, "drums").shape
    (2, 44100)
    >>> separate(mixture, 44100, ["drums", "a voice"]).shape
    (2, 2, 44100)
    """
    audio = np.asarray(audio)
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio must be 1-D (mono) or (channels, samples), not of shape {audio.shape}")
    if audio.ndim == 2 and audio.shape[0] > max(MAX_CHANNELS, audio.shape[1]):
        raise AudioError(f"audio must be (channels, samples); {audio.shape} looks transposed, pass audio.T")
    channels = np.atleast_2d(audio)
    separator = model if isinstance(model, Separator) else load_model(model)
    stream = SeparationStream(
        separator, queries, sample_rate, len(channels), stereo=stereo, gate=gate,
        gate_threshold=gate_threshold, consistent=consistent, avoid=avoid, keep=keep, duck_db=duck_db,
        profile=profile,
    )  # fmt: skip
    stems = _run(stream, channels, progress or (lambda fraction: None), cancel or threading.Event())
    shaped = stems.reshape(len(stems), *audio.shape)
    return shaped[0] if isinstance(queries, str) else shaped


def _run(
    stream: SeparationStream,
    audio: npt.NDArray[np.floating],
    progress: Callable[[float], None],
    cancel: threading.Event,
) -> Audio:
    length = audio.shape[1]
    late = np.empty((len(stream.queries), len(audio), length + stream.latency_samples), np.float32)
    block = max(1, round(_BLOCK_S * stream.sample_rate))
    for start in range(0, length, block):
        if cancel.is_set():
            raise Cancelled(f"stopped after {start} of {length} samples, as asked")
        end = min(start + block, length)
        late[..., start:end] = stream.process(audio[:, start:end])
        progress(end / length)
    late[..., length:] = stream.flush()
    return np.ascontiguousarray(late[..., stream.latency_samples :])
