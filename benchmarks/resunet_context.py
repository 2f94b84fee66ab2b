"""Measure what each second of context is worth to ResUNet30, in dB against a pass over the whole file.

Run it with ``python -m benchmarks.resunet_context [--train-minutes N]`` from the repository's root. Two sets
of weights answer: noise by the rule of the tests, and those of a short training, which is done first and
goes on where it stopped. It mixes the recordings that ``models.training.corpus`` and ``instruments`` leave
in the cache. So that minutes on a CPU teach it anything, the trained network has a quarter of the
channels; its reach in time is the published one.
"""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, normalize, pad

from soundlasso.models.checkpoint import fill, load_safetensors, save_safetensors
from soundlasso.models.engine import Asked, Profile
from soundlasso.models.resunet import CONDITION_SIZE, SAMPLE_RATE, ResUNet30
from soundlasso.models.resunet_folded import FoldedUNet
from soundlasso.models.training import storage
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.options import cache_option
from soundlasso.models.training.scenes import Chooser, training_scene
from soundlasso.models.training.storage import Cache
from soundlasso.models.training.vocabulary import NUMBER
from soundlasso.models.windowed import WindowEngine
from tests.audiosep_rule import fill as fill_by_rule

QUARTER = (8, 16, 32, 64, 96, 96)
CONTEXTS_S = ((3.2, 3.2), (2.56, 2.56), (1.92, 1.92), (1.28, 1.28), (1.28, 0.64), (1.28, 0.32),
              (0.64, 0.64), (0.64, 0.32), (0.32, 0.32), (0.32, 0.0))  # fmt: skip
HOP_S = 0.64
TRAINED_S = 4.0  # of each training mixture
HEARD_S = 15.0  # of each mixture that is measured
MIXTURES = 4
BATCH = 2
LEVEL = 0.1  # root mean square of a mixture
SILENCE = 10 * 10_240  # on both sides of the whole pass, so that windows and it hear the same


def vector(sound: str) -> Tensor:
    """Return a class's vector, drawn by its number: to tell classes apart is all that is trained here."""
    return normalize(torch.randn(CONDITION_SIZE, generator=torch.manual_seed(NUMBER[sound])), dim=0)


def scenes(cache: Cache, split: str, seconds: float, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Give mixtures at 32 kHz, one of their sources each, and its class's vector, for ever."""
    rng = random.Random(seed)
    bank = Bank(cache, split)
    chooser = Chooser(bank, rng)
    samples, length = round(seconds * SAMPLE_RATE), round(seconds * storage.SAMPLE_RATE)
    while True:
        scene = training_scene(bank, chooser, rng, length)
        if len(scene) < 2:
            continue
        dry = np.stack(
            [soxr.resample(layer.render(length), storage.SAMPLE_RATE, SAMPLE_RATE) for layer in scene]
        )
        gains = np.array([[10 ** (rng.uniform(-10, 10) / 20)] for _ in scene], np.float32)
        sources = torch.from_numpy(dry[:, :samples] * gains / (dry.std(1, keepdims=True) + 1e-4))
        mixture = sources.sum(0)
        wanted = rng.randrange(len(scene))
        scale = LEVEL / (mixture.std() + 1e-6)
        yield mixture * scale, sources[wanted] * scale, vector(scene[wanted].sound)


def trained(cache: Cache, minutes: float, folder: Path) -> ResUNet30:
    """Return a network trained so long more than the newest weights in `folder`, and save it there."""
    torch.manual_seed(0)
    network = ResUNet30(QUARTER)
    newest = max(folder.glob("context-*.safetensors"), key=lambda path: path.stat().st_mtime, default=None)
    if newest is not None:
        fill(network, load_safetensors(newest), newest.name)
    if minutes:
        network.train().requires_grad_(True)
        _train(network, scenes(cache, "train", TRAINED_S, time.time_ns()), minutes * 60)
        save_safetensors(network.state_dict(), folder, "context")
    return network.eval().requires_grad_(False)


def _train(network: ResUNet30, examples: Iterator[tuple[Tensor, Tensor, Tensor]], seconds: float) -> None:
    """Fit stems by their L1 distance, as AudioSep is trained."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 0.05  # the published 0.01 would need more steps than there will be
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    end, losses = time.monotonic() + seconds, list[float]()
    while time.monotonic() < end:
        mixture, source, query = map(torch.stack, zip(*(next(examples) for _ in range(BATCH)), strict=True))
        loss = l1_loss(network(mixture, query), source)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item() / l1_loss(mixture, source).item())
        if len(losses) % 20 == 0:
            print(f"  {len(losses)} steps: {np.mean(losses[-20:]):.3f} of the mixture's distance", flush=True)


@torch.inference_mode()
def report(name: str, network: ResUNet30, heard: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Print how far each context is from the whole pass: the mean and the worst over the mixtures."""
    folded = FoldedUNet(network)
    print(f"{name}: past, future, difference to the whole pass (mean, worst)")
    whole = [
        network(pad(mixture, (SILENCE, SILENCE))[None], query[None])[:, SILENCE:-SILENCE].numpy()
        for mixture, _, query in heard
    ]
    for past_s, future_s in CONTEXTS_S:
        levels = []
        for (mixture, _, query), expected in zip(heard, whole, strict=True):
            engine = WindowEngine(folded, SAMPLE_RATE, 1, "linked", Profile(HOP_S, past_s, future_s))
            engine.ask(Asked(query[None], torch.empty(0, CONDITION_SIZE), gate=False))
            late = engine.process(np.pad(mixture.numpy()[None], ((0, 0), (0, engine.latency_samples))))
            difference = late[0, :, engine.latency_samples :] - expected
            levels.append(10 * np.log10(np.square(difference).mean() / np.square(expected).mean()))
        print(
            f"  {past_s:4.2f} s {future_s:4.2f} s {np.mean(levels):7.1f} dB {max(levels):7.1f} dB", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train-minutes", type=float, default=0.0, help="train so long first (default: 0)")
    cache_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cache = Cache.open(options.cache)
    network = trained(cache, options.train_minutes, cache.room("context"))
    examples = scenes(cache, "test", HEARD_S, 1)
    heard = [next(examples) for _ in range(MIXTURES)]
    with torch.device("meta"):
        by_rule = ResUNet30(QUARTER)
    report("filled by rule", fill_by_rule(by_rule), heard)
    report("trained", network, heard)


if __name__ == "__main__":
    main()
