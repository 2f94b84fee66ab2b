"""Mixtures made on the accelerator: only what sounds when is drawn on the CPU, by several processes.

The same scenes as `examples.training_example`, in batches, with torch: takes are gathered from one
array that holds the whole bank, so nothing but a few numbers travels for each example.  Of what spoils
them there, rooms, equalisers and narrow bands are here; other timbres, bodies and borrowed colours are not.
"""

import queue
import random
import threading
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from soundlasso.dsp.bands import N_BINS, BandMap
from soundlasso.dsp.stft import Hann
from soundlasso.models.training.augment import band_limit, equaliser
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.examples import (
    HOP_SAMPLES,
    LENGTH,
    LEVEL,
    MIXTURES_NARROW,
    NARROW,
    POWER_FLOOR,
)
from soundlasso.models.training.queries import Asker, Batch, ask_of
from soundlasso.models.training.scenes import MAX_LAYERS, Chooser, Scene, training_scene
from soundlasso.models.training.storage import SAMPLE_RATE
from soundlasso.models.training.vocabulary import NUMBER

ROOM_SAMPLES = 32768
ROOM_SHARE = 0.3
AT_ONCE = 64
"""Tracks gathered at once; bounds the memory of the index arrays."""


@dataclass(frozen=True)
class Plan:
    """What sounds in B examples of up to S layers, as numbers.

    Shape: owner, start, count, at, rate, gain (placements,);
    sounds (B, S), colour (B, S, bins), gain_db (B, S).
    """

    owner: np.ndarray  # which of the B * S layers a placement belongs to
    start: np.ndarray  # its first sample in the bank
    count: np.ndarray  # its samples
    at: np.ndarray  # where it begins, in samples of its own speed
    rate: np.ndarray
    gain: np.ndarray
    sounds: np.ndarray
    colour: np.ndarray
    gain_db: np.ndarray


def make_plan(scenes: list[Scene], starts: np.ndarray, rng: random.Random) -> Plan:
    """Write scenes down as numbers, with a colour and a level for every layer."""
    rows: list[tuple[float, ...]] = []
    sounds = np.full((len(scenes), MAX_LAYERS), -1, np.int16)
    colour = np.ones((len(scenes), MAX_LAYERS, N_BINS), np.float32)
    for b, scene in enumerate(scenes):
        narrow = band_limit(N_BINS, rng) if rng.random() < MIXTURES_NARROW else np.float32(1)
        for s, layer in enumerate(scene):
            sounds[b, s] = NUMBER[layer.sound]
            colour[b, s] = narrow * (equaliser(N_BINS, rng) if rng.random() < 0.6 else 1)
            colour[b, s] *= band_limit(N_BINS, rng) if rng.random() < NARROW else 1
            for track in layer.tracks:
                for p in track.placements:
                    where = (b * MAX_LAYERS + s, starts[p.take.number], p.take.clip.length, p.at)
                    rows.append((*where, track.span / LENGTH, p.gain))
    owner, start, count, at, rate, gain = np.array(rows, np.float64).T
    gain_db = np.array([[rng.triangular(-10, 10) for _ in range(MAX_LAYERS)] for _ in scenes], np.float32)
    return Plan(owner, start, count, at, rate, gain, sounds, colour, gain_db)


class DeviceMixer:
    """Makes batches on a device from a bank that lies there whole.

    Parameters
    ----------
    bank
        Its samples are copied to the device: two bytes a sample, 320 MB an hour.
    asker
        Draws the queries.
    device
        Any torch device.
    """

    def __init__(self, bank: Bank, asker: Asker, device: str) -> None:
        self._bank, self._asker, self._device = bank, asker, torch.device(device)
        takes = [take.samples[take.clip.start : take.clip.start + take.clip.length] for take in bank.takes]
        self._samples = torch.from_numpy(np.concatenate(takes)).to(self._device)
        self._starts = np.cumsum([0, *(len(take) for take in takes)])[:-1]
        self._hann = Hann(HOP_SAMPLES, self._device)
        self._bands = BandMap(N_BINS, self._device)
        self._plans: queue.Queue[Plan] = queue.Queue(8)

    def plan_ahead(self, n_examples: int, n_threads: int, seed: int) -> None:
        """Begin to draw plans in the background."""
        for i in range(n_threads):
            rng = random.Random(seed * 1000 + i)
            threading.Thread(target=self._draw_plans, args=(n_examples, rng), daemon=True).start()

    def _draw_plans(self, n_examples: int, rng: random.Random) -> None:
        while True:
            self._plans.put(self.plan(n_examples, rng))

    def plan(self, n_examples: int, rng: random.Random) -> Plan:
        """Draw one batch's plan."""
        chooser = Chooser(self._bank, rng)
        scenes: list[Scene] = []
        while len(scenes) < n_examples:
            if scene := training_scene(self._bank, chooser, rng, LENGTH):
                scenes.append(scene)
        return make_plan(scenes, self._starts, rng)

    def draw(self, rng: random.Random, n_frames: int) -> Batch:
        """Make the next planned batch."""
        return self.make(self._plans.get(), rng, n_frames)

    def fixed(self, n_examples: int, n_frames: int, total: int) -> list[Batch]:
        """Make the same batches every time, to measure by."""
        rng = random.Random(0)
        return [self.make(self.plan(n_examples, rng), rng, n_frames) for _ in range(0, total, n_examples)]

    @torch.no_grad()
    def make(self, plan: Plan, rng: random.Random, n_frames: int) -> Batch:
        """Make the batch that is planned."""
        mixture, gains, powers = self.describe(self._colour(self._rooms(self.waves(plan)), plan))
        first = rng.randrange(mixture.shape[1] - n_frames + 1)
        span = slice(first, first + n_frames)
        return ask_of(mixture[:, span], gains[:, :, span], powers[:, :, span], plan.sounds, self._asker, rng)

    def waves(self, plan: Plan) -> Tensor:
        """Play a plan.  Shape: (B, S, LENGTH)."""
        n_batch, n_layers = plan.sounds.shape
        out = torch.zeros(n_batch * n_layers, LENGTH, device=self._device)
        time = torch.arange(LENGTH, device=self._device, dtype=torch.float64)
        for first in range(0, len(plan.owner), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            columns = (getattr(plan, name)[part, None] for name in ("start", "count", "at", "rate", "gain"))
            start, count, at, rate, gain = (torch.from_numpy(column).to(self._device) for column in columns)
            place = time * rate - at  # sample of the take that sounds at each time
            below = place.floor()
            heard = (place >= 0) & (below < count - 1)
            index = (start + below.clamp_min(0).minimum(count - 2).clamp_min(0)).long()
            share = (place - below).float()
            audio = torch.lerp(self._samples[index].float(), self._samples[index + 1].float(), share)
            out.index_add_(
                0, torch.from_numpy(plan.owner[part]).long().to(self._device), audio * heard * gain.float()
            )
        return out.view(n_batch, n_layers, LENGTH) / 32768

    def _rooms(self, waves: Tensor) -> Tensor:
        """Put some layers into rooms: noise that decays by 60 dB in 0.1 to 0.7 s."""
        flat = waves.flatten(0, 1)
        chosen = torch.rand(len(flat), device=self._device) < ROOM_SHARE
        count = int(chosen.sum())
        if not count:
            return waves
        time = torch.arange(ROOM_SAMPLES, device=self._device) / SAMPLE_RATE
        decay_s = torch.empty(count, 1, device=self._device).uniform_(0.1, 0.7)
        tail = torch.randn(count, ROOM_SAMPLES, device=self._device) * torch.exp(-6.9 * time / decay_s)
        tail[:, : int(0.005 * SAMPLE_RATE)] = 0
        level = 10 ** (torch.empty(count, 1, device=self._device).uniform_(-26, -3) / 20)
        tail = functional.normalize(tail, dim=-1) * level
        tail[:, 0] = 1
        size = LENGTH + ROOM_SAMPLES
        wet = torch.fft.irfft(torch.fft.rfft(flat[chosen], size) * torch.fft.rfft(tail, size), size)
        flat[chosen] = wet[:, :LENGTH]
        return flat.view_as(waves)

    def _colour(self, waves: Tensor, plan: Plan) -> Tensor:
        """Transform, equalise and set levels.  Shape: (B, S, LENGTH) -> (B, S, T, bins)."""
        sources = self._hann.spectra(waves) * torch.from_numpy(plan.colour).to(self._device)[:, :, None]
        level = sources.abs().square().mean((2, 3), keepdim=True).sqrt() + 1e-9
        wanted = 10 ** (torch.from_numpy(plan.gain_db).to(self._device) / 20)[..., None, None]
        there = torch.from_numpy(plan.sounds >= 0).to(self._device)[..., None, None]
        return sources * (wanted / level * there)

    def describe(self, sources: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log band magnitudes, ideal gains and log powers, as `examples.describe` does.

        Shape: (B, S, T, bins) -> (B, T, F), (B, S, T, F), (B, S, T).
        """
        mixture = sources.sum(1)
        scale = LEVEL / (mixture.abs().square().mean((1, 2)).sqrt() + 1e-9)
        mixture, sources = mixture * scale[:, None, None], sources * scale[:, None, None, None]
        band_power = self._bands.power_to_bands(mixture.abs().square()) + POWER_FLOOR**2
        ideal = self._bands.power_to_bands((sources * mixture.conj()[:, None]).real) / band_power[:, None]
        powers = torch.log10(sources.abs().square().mean(-1) + POWER_FLOOR)
        return band_power.sqrt().log10(), ideal.clamp(0, 1), powers
