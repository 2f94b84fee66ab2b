"""Mixtures with their phases: what the trial of a phase residual learns from.

An `Example` with more bands: its mixture holds each band's log magnitude, then the real and the imaginary
part of how its phase went on since the frame before; its gains hold the real, then the imaginary part of the
complex gain that brings a band of the mixture nearest to the source.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch

from soundlasso.dsp.bands import band_edges
from soundlasso.dsp.stft import OVERLAP
from soundlasso.models.training.examples import POWER_FLOOR, Example, describe, to_bands
from soundlasso.models.training.queries import Asker, Batch, ask_of, crop

STEPS = 127
"""Of a gain of 1, as stored in eight bits with a sign."""


def describe_phases(sources: np.ndarray, sounds: list[str]) -> Example:
    """Turn the sources' spectra into an example with phases.  Shape: (S, T, bins) complex."""
    example, mixture = describe(sources, sounds), sources.sum(0)
    gains = np.zeros((*example.gains.shape[:2], 2 * example.gains.shape[2]), np.int8)
    gains[: len(sources)] = np.round(STEPS * parts(ideal_gains(sources, mixture)))
    heard = np.concatenate([example.mixture, parts(advance(mixture))], -1)
    return example._replace(mixture=heard.astype(np.float16), gains=gains)


def ideal_gains(sources: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Return the least-squares complex gain of every band, S X* / |X|^2, no larger than 1.

    Shape: (..., T, bins) and (T, bins) complex -> (..., T, F) complex.
    """
    ideal = to_bands(sources * mixture.conj()) / (to_bands(np.abs(mixture) ** 2) + POWER_FLOOR**2)
    return np.asarray(ideal / np.maximum(np.abs(ideal), 1))


def advance(mixture: np.ndarray) -> np.ndarray:
    """Return how each band's phase went on since the frame before, against a tone at the band's centre.

    A steady tone `d` bins above the centre is at d / 4 of a turn, at a size of 1; several sounds in one band
    come out smaller.  The first frame has none before it: 0.

    Shape: (T, bins) complex -> (T, F) complex.
    """
    edges = band_edges()
    by_a_tone = np.exp(-2j * np.pi / OVERLAP * (edges[:-1] + edges[1:] - 1) / 2)
    went_on = to_bands(mixture[1:] * mixture[:-1].conj()) * by_a_tone
    power = to_bands(np.abs(mixture) ** 2)
    found = np.zeros(power.shape, np.complex64)
    found[1:] = went_on / (np.sqrt(power[1:] * power[:-1]) + POWER_FLOOR**2)
    return found


def parts(values: np.ndarray) -> np.ndarray:
    """Lay real and imaginary parts side by side.  Shape: (..., F) complex -> (..., 2F)."""
    return np.concatenate([values.real, values.imag], -1)


def phase_batch(examples: Sequence[Example], asker: Asker, rng: random.Random, n_frames: int) -> Batch:
    """Crop stored examples and ask for sounds in them, as `make_batch` does.

    Features have 3F bands and gains 2F, as the examples have them.
    """
    crops = [crop(example, rng, n_frames) for example in examples]
    heard, gains, powers, sounds = (torch.from_numpy(np.stack(field)) for field in zip(*crops, strict=True))
    mixture, went_on = heard.float().tensor_split([heard.shape[-1] // 3], -1)
    batch = ask_of(mixture, gains.float() / STEPS, powers.float(), sounds.numpy(), asker, rng)
    return batch._replace(features=torch.cat([batch.features, went_on], -1))
