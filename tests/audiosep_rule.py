"""Weights, queries and mixtures for ResUNet30 that anyone can make again, and the published answer to them.

NumPy freezes the streams of `RandomState`, so each tensor follows from its name alone.
"""

import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundlasso.models.resunet import SAMPLE_RATE, ResUNet30

NARROW = (4, 4, 6, 6, 8, 8)  # channels of the six levels
DATA = Path(__file__).parent / "data" / "audiosep"
CASES = {
    "short": (0.35, [0]),
    "second": (1.0, [0]),
    "pair": (2.5, [0, 1]),
    "long": (7.31, [1]),
}  # seconds, queries


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of each published tensor by its name."""
    shapes = json.loads((DATA / "keys.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items()}


def golden(case: str) -> Tensor:
    """Return the waveforms of the published implementation, (batch, samples)."""
    with np.load(DATA / "golden.npz") as waveforms:
        return torch.from_numpy(waveforms[case])


def tensor_for(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return the tensor of that name: noise, scaled so that levels stay near one through the network."""
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    parent, _, leaf = name.rpartition(".")
    is_norm = parent.rpartition(".")[2].startswith("bn")
    if leaf == "running_var":
        return torch.from_numpy(np.abs(1 + 0.2 * noise).astype(np.float32))
    if leaf == "running_mean":
        return torch.from_numpy(0.2 * noise)
    if name.startswith("film."):
        return torch.from_numpy((0.3 if leaf == "bias" else 0.5) * noise)
    if is_norm:
        return torch.from_numpy(1 + 0.1 * noise if leaf == "weight" else 0.1 * noise)
    if leaf == "bias":
        return torch.from_numpy(0.1 * noise)
    return torch.from_numpy(noise * np.float32(np.sqrt(1.6 / np.prod(shape[1:]))))


def fill(network: ResUNet30) -> ResUNet30:
    """Give every tensor of `network` the rule's values; for inference."""
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if tensor.dim()}
    network.load_state_dict({name: tensor_for(name, shape) for name, shape in shapes.items()}, assign=True)
    return network.eval().requires_grad_(False)


@cache
def full_network() -> ResUNet30:
    """Return the network of the published size, filled by the rule."""
    with torch.device("meta"):
        network = ResUNet30()
    return fill(network)


@cache
def narrow_network() -> ResUNet30:
    """Return a network of the published form with few channels, filled by the rule."""
    with torch.device("meta"):
        network = ResUNet30(NARROW)
    return fill(network)


def condition(index: int) -> Tensor:
    """Return a query's vector of unit length, (512,)."""
    vector = np.random.RandomState(100 + index).standard_normal(512)
    return torch.from_numpy((vector / np.linalg.norm(vector)).astype(np.float32))


def mixture(seconds: float, index: int) -> Tensor:
    """Return tones, a sweep and bursts of noise at 32 kHz, (samples,)."""
    samples = round(seconds * SAMPLE_RATE)
    t = np.arange(samples) / SAMPLE_RATE
    random = np.random.RandomState(index)
    phases = random.rand(4) * 6
    parts = zip((110, 440, 1760, 7040), (0.2, 0.15, 0.1, 0.05), phases, strict=True)
    tones = sum(level * np.sin(2 * np.pi * hz * t + phase) for hz, level, phase in parts)
    sweep = 0.1 * np.sin(2 * np.pi * (50 * t + 900 * t**2))
    bursts = 0.1 * random.standard_normal(samples) * (np.sin(2 * np.pi * 3 * t) > 0)
    return torch.from_numpy((tones + sweep + bursts).astype(np.float32))


def case_inputs(case: str) -> tuple[Tensor, Tensor]:
    """Return the mixtures (batch, samples) and query vectors (batch, 512) of a golden case."""
    seconds, queries = CASES[case]
    mixtures = [mixture(seconds, query) for query in queries]
    return torch.stack(mixtures), torch.stack([condition(query) for query in queries])
