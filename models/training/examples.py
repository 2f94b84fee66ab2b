"""A mixture as the network meets it: log band magnitudes, and each source's ideal gain per band."""

import random
from typing import NamedTuple

import numpy as np
import torch

from soundlasso.dsp.bands import N_BANDS, N_BINS, band_edges
from soundlasso.dsp.stft import OVERLAP, Hann
from soundlasso.models.training.augment import band_limit, equaliser, hiss, room
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.scenes import MAX_LAYERS, Chooser, Layer, Scene, training_scene
from soundlasso.models.training.timbre import another, body, borrowed, brightened
from soundlasso.models.training.vocabulary import MUSICAL, NUMBER, SPEECH

HOP_SAMPLES = 1024
N_FRAMES = 128
LENGTH = (N_FRAMES + OVERLAP - 1) * HOP_SAMPLES
LEVEL = 0.03
"""Root mean square of a mixture's spectrum over bins and frames, as stored; training varies it."""
POWER_FLOOR = 1e-9
FORMANT_OCTAVES, FORMANTS_MOVE = 0.2, 0.25
"""How far formants move, and how often: a woman stays a woman, a viola a viola."""
EFFECT_OCTAVES, EFFECTS_MOVE = 0.6, 0.5
"""The same for effects, of which there are fewer recordings: any dog is a dog."""
OF_A_SIZE = MUSICAL.union(SPEECH, ("singing", "music"))
COLOUR_DB, EFFECT_COLOUR_DB = 3.5, 6.0
BORROWED, EFFECTS_BORROWED = 0.15, 0.4
"""How often a source takes on the colour of another source of its class."""
EFFECTS_BRIGHTENED = 0.4
"""How often effects sound as if they had been recorded in full: there are classes of which none was."""
NARROW, EFFECTS_NARROW, MIXTURES_NARROW = 0.2, 0.35, 0.2
"""How often sources and whole mixtures come through something narrow: most recorded speech is, effects of old
games are, and neither should tell the one from the other."""
HISSES = 0.5
"""How often what is narrow has the noise of 8 bits, too."""
BEGINS, START = 0.3, (OVERLAP - 1) * HOP_SAMPLES
"""How often an example begins as a stream does, with frames that are only partly filled, and for how long."""
_HANN = Hann(HOP_SAMPLES)


class Example(NamedTuple):
    """One mixture of up to S = MAX_LAYERS sources, T frames, F bands."""

    mixture: np.ndarray  # (T, F) float16: log10 of each band's magnitude at LEVEL
    gains: np.ndarray  # (S, T, F) uint8: ideal gain times 255
    powers: np.ndarray  # (S, T) float16: log10 of each source's power over the bins
    sounds: np.ndarray  # (S,) int16: class numbers, -1 for none


def spectra(audio: np.ndarray) -> np.ndarray:
    """Transform signals, only frames that are whole.  Shape: (..., LENGTH) -> (..., T, bins), complex64."""
    return _HANN.spectra(torch.from_numpy(np.ascontiguousarray(audio))).numpy()


def to_bands(power: np.ndarray) -> np.ndarray:
    """Sum over the bins of each band.  Shape: (..., bins) -> (..., F)."""
    return np.asarray(np.add.reduceat(power, band_edges()[:-1], axis=-1))


def training_example(bank: Bank, chooser: Chooser, rng: random.Random) -> Example:
    """Draw a mixture and tell of it what training needs."""
    return describe(*training_sources(bank, chooser, rng))


def training_sources(bank: Bank, chooser: Chooser, rng: random.Random) -> tuple[np.ndarray, list[str]]:
    """Draw a mixture and spoil it as the world would: other bodies, rooms, narrow bands.

    Levels differ by up to 10 dB either way, seldom by that much.

    Return the sources' spectra, shape (S, T, bins) complex64, and their classes.
    """
    scene: Scene = []
    while not scene:
        scene = training_scene(bank, chooser, rng, LENGTH)
    silent = START if rng.random() < BEGINS else 0
    sources = np.stack([_source(layer, bank, rng, silent) for layer in scene])  # (S, T, bins)
    level = np.sqrt(np.mean(np.abs(sources) ** 2, axis=(1, 2), keepdims=True)) + 1e-9
    gain_db = np.array([rng.triangular(-10, 10) for _ in scene], np.float32)[:, None, None]
    sources *= 10 ** (gain_db / 20) / level
    if rng.random() < MIXTURES_NARROW:
        sources *= band_limit(N_BINS, rng)
    return sources, [layer.sound for layer in scene]


def _source(layer: Layer, bank: Bank, rng: random.Random, silent: int) -> np.ndarray:
    """Render one source as it might sound elsewhere, silent at first.  Shape: (T, bins) complex64."""
    effect = layer.sound not in OF_A_SIZE
    narrow = rng.random() < (EFFECTS_NARROW if effect else NARROW)
    audio = another(layer.render(LENGTH), rng)
    audio = room(audio, rng) if rng.random() < 0.3 else audio
    audio = hiss(audio, rng) if narrow and rng.random() < HISSES else audio
    audio[:silent] = 0
    source = spectra(audio)
    if effect and rng.random() < EFFECTS_BRIGHTENED:
        source = brightened(source, rng)
    source = _reshaped(source, rng, effect)
    if rng.random() < (EFFECTS_BORROWED if effect else BORROWED):
        other = bank.track(layer.sound, LENGTH, rng).render(LENGTH)
        source = source * borrowed(source, spectra(other))
    if rng.random() < 0.6:
        source = source * equaliser(N_BINS, rng, EFFECT_COLOUR_DB if effect else COLOUR_DB)
    return np.asarray(source * band_limit(N_BINS, rng) if narrow else source, np.complex64)


def _reshaped(source: np.ndarray, rng: random.Random, effect: bool) -> np.ndarray:
    octaves, often = (EFFECT_OCTAVES, EFFECTS_MOVE) if effect else (FORMANT_OCTAVES, FORMANTS_MOVE)
    return body(source, rng.uniform(-octaves, octaves)) if rng.random() < often else source


def describe(sources: np.ndarray, sounds: list[str]) -> Example:
    """Turn the sources' spectra into an example: phase-sensitive ideal gains, Re(S X*) / |X|^2 by band.

    Shape: (S, T, bins) complex.
    """
    mixture = sources.sum(0)
    scale = LEVEL / (np.sqrt(np.mean(np.abs(mixture) ** 2)) + 1e-9)
    sources, mixture = sources * scale, mixture * scale
    band_power = to_bands(np.abs(mixture) ** 2) + POWER_FLOOR**2
    ideal = to_bands((sources * mixture.conj()).real) / band_power
    n_sources, n_frames, _ = sources.shape
    gains = np.zeros((MAX_LAYERS, n_frames, N_BANDS), np.uint8)
    gains[:n_sources] = np.round(np.clip(ideal, 0, 1) * 255)
    powers = np.full((MAX_LAYERS, n_frames), np.log10(POWER_FLOOR), np.float16)
    powers[:n_sources] = np.log10(np.mean(np.abs(sources) ** 2, -1) + POWER_FLOOR)
    numbers = np.full(MAX_LAYERS, -1, np.int16)
    numbers[:n_sources] = [NUMBER[sound] for sound in sounds]
    return Example(np.log10(np.sqrt(band_power)).astype(np.float16), gains, powers, numbers)
