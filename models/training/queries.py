"""Turn examples into what a step of training needs: features, queries, their gains and when they sound.

Queries are drawn when an example is used, not when it is mixed: classes that sound, groups whose gains
add up, and sounds that are not there, each in words drawn from its wordings and frames.
"""

import hashlib
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from soundlasso.dsp.bands import MAGNITUDE_FLOOR, N_BINS
from soundlasso.dsp.level import FLOOR_DB, RELEASE_DB_PER_S
from soundlasso.models.atomic import replacing
from soundlasso.models.text import MiniLM
from soundlasso.models.training.examples import HOP_SAMPLES, LEVEL, Example
from soundlasso.models.training.storage import SAMPLE_RATE, Cache
from soundlasso.models.training.vocabulary import (
    GROUPS,
    MUSICAL,
    NUMBER,
    SOUNDS,
    SPEECH,
    TEMPLATES,
    Group,
    confusable,
    group_wordings,
    wordings,
)

TEXT_NOISE = 0.02
AS_POPULAR = 0.35
"""Share of the absent sounds that are drawn as often as present ones, or presence would learn that what is
asked for often is always there."""
PRESENT_DB, ABSENT_DB = -12.0, -30.0
"""A source's share of a frame's energy at which it surely is, or is not, there."""
SILENT_DB = -50.0
"""Level of a source, against the mixture's, under which it is not there even if nothing else is."""
FRAME_RATE = SAMPLE_RATE / HOP_SAMPLES
LOG_LEVEL = math.log10(LEVEL)


class Batch(NamedTuple):
    """B examples, Q queries, T frames, F bands."""

    features: Tensor  # (B, T, F)
    queries: Tensor  # (B, Q, 384)
    gains: Tensor  # (B, Q, T, F), 0 to 1
    presence: Tensor  # (B, Q, T), 0 to 1
    asked: Tensor  # (B, Q): 1 where the query's sound is in the mixture


def words_path(cache: Cache) -> Path:
    """Return where the wordings' vectors are kept; other words, another file."""
    words = json.dumps([*map(wordings, SOUNDS), *map(group_wordings, GROUPS)])
    return cache.root / f"words-{hashlib.sha256(words.encode()).hexdigest()[:8]}.npz"


class Words:
    """The vectors of every wording in every frame, encoded once and kept in the cache."""

    def __init__(self, cache: Cache) -> None:
        kept = words_path(cache)
        if not kept.exists():
            vectors = self._encode()
            with replacing(kept) as temporary, temporary.open("wb") as file:
                np.savez(file, **vectors)
        with np.load(kept) as vectors:
            self._vectors = {name: torch.from_numpy(vectors[name]).float() for name in vectors.files}

    @staticmethod
    def _encode() -> dict[str, Any]:
        encoder = MiniLM()
        texts = {sound: wordings(sound) for sound in SOUNDS}
        texts |= {f"group {name}": group_wordings(name) for name in GROUPS}
        return {
            name: encoder.encode([frame.format(text) for text in said for frame in TEMPLATES]).half().numpy()
            for name, said in texts.items()
        }

    def draw(self, name: str, rng: random.Random) -> Tensor:
        """Draw one wording of a class, or of "group NAME", most without a frame.  Shape: (384,)."""
        vectors = self._vectors[name]
        i = rng.randrange(len(vectors))
        return vectors[i - i % len(TEMPLATES) if rng.random() < 0.4 else i]


class Asker:
    """Draws queries for examples.

    Parameters
    ----------
    words
        Vectors of the wordings.
    known
        Classes to ask for when a sound is to be absent: those there is material for.
    n_queries
        Queries an example.
    """

    def __init__(self, words: Words, known: Sequence[str], n_queries: int) -> None:
        self.words = words
        self._known = list(known)
        self.n_queries = n_queries

    def ask(
        self, sounds: np.ndarray, rng: random.Random, elsewhere: Sequence[int] = ()
    ) -> list[tuple[str, list[int]]]:
        """Draw what to ask of one example, as names and the sources each one means.

        Some of what is absent is drawn from `elsewhere`, the class numbers of other examples.

        Shape: sounds (S,), class numbers, -1 for none.
        """
        present = {int(number): i for i, number in enumerate(sounds) if number >= 0}
        asked = [(self._name(SOUNDS[number], rng), [i]) for number, i in present.items()]
        rng.shuffle(asked)
        asked = asked[: self.n_queries - 1]
        if rng.random() < 0.6:
            asked += self._group(present, rng)
        while len(asked) < self.n_queries:
            asked.append((self._absent(present, rng, elsewhere), []))
        rng.shuffle(asked)
        return asked[: self.n_queries]

    @staticmethod
    def _name(sound: str, rng: random.Random) -> str:
        return "speech" if sound in SPEECH and rng.random() < 0.3 else sound

    def _group(self, present: dict[int, int], rng: random.Random) -> list[tuple[str, list[int]]]:
        """Ask for a sum of sources; a group that holds one of them, at least."""
        fitting = []
        for name, group in GROUPS.items():
            meant = members(group, present)
            if meant and (not group.all_but or len(meant) < len(present)):
                fitting.append((f"group {name}", meant))
        return [rng.choice(fitting)] if fitting else []

    def _absent(self, present: dict[int, int], rng: random.Random, elsewhere: Sequence[int]) -> str:
        """Draw a class, sometimes a group, that nothing in the example sounds like."""
        heard = list(present)
        for _ in range(100):
            if rng.random() < 0.15:
                name, group = rng.choice(list(GROUPS.items()))
                if is_missing(group, heard):
                    return f"group {name}"
                continue
            popular = elsewhere and rng.random() < AS_POPULAR
            sound = SOUNDS[rng.choice(elsewhere)] if popular else rng.choice(self._known)
            if not confusable()[NUMBER[sound], heard].any():
                return self._name(sound, rng)
        raise AssertionError(f"every class sounds like one of {[SOUNDS[number] for number in heard]}")


def is_missing(group: Group, heard: Sequence[int]) -> bool:
    """Tell whether nothing that is heard, by class numbers, is or sounds like what a group means.

    Where someone speaks, what holds instruments may be missing, though somebody could sing to them.
    """
    numbers = {NUMBER[sound] for sound in group.members}
    if group.all_but:
        return numbers.issuperset(heard)
    unlike = numbers - {NUMBER["singing"]} if MUSICAL.intersection(group.members) else numbers
    return numbers.isdisjoint(heard) and not confusable()[np.ix_(sorted(unlike), heard)].any()


def members(group: Group, present: dict[int, int]) -> list[int]:
    """Return the sources that a group means, out of class number -> source."""
    return [i for number, i in present.items() if (SOUNDS[number] in group.members) != group.all_but]


def make_batch(examples: Sequence[Example], asker: Asker, rng: random.Random, n_frames: int) -> Batch:
    """Crop stored examples and ask for sounds in them."""
    crops = [crop(example, rng, n_frames) for example in examples]
    mixture, gains, powers, sounds = (torch.from_numpy(np.stack(field)) for field in zip(*crops, strict=True))
    return ask_of(mixture.float(), gains.float() / 255, powers.float(), sounds.numpy(), asker, rng)


def crop(example: Example, rng: random.Random, n_frames: int) -> Example:
    """Take some frames of an example, wherever they begin."""
    first = rng.randrange(example.mixture.shape[0] - n_frames + 1)
    span = slice(first, first + n_frames)
    return Example(example.mixture[span], example.gains[:, span], example.powers[:, span], example.sounds)


def ask_of(
    mixture: Tensor, gains: Tensor, powers: Tensor, sounds: np.ndarray, asker: Asker, rng: random.Random
) -> Batch:
    """Ask for sounds in examples, on whatever device they are, and vary their level and the words' vectors.

    Shape: mixture (B, T, F), gains (B, S, T, F), powers (B, S, T), sounds (B, S).
    """
    everywhere = sounds[sounds >= 0].tolist()
    asked = [asker.ask(each, rng, everywhere) for each in sounds]
    vectors = torch.stack([torch.stack([asker.words.draw(name, rng) for name, _ in each]) for each in asked])
    vectors = vectors.to(mixture.device)
    noisy = functional.normalize(vectors + TEXT_NOISE * torch.randn_like(vectors), dim=-1)
    meant = torch.zeros(*vectors.shape[:2], sounds.shape[1], device=mixture.device)
    for b, q, s in (
        (b, q, s) for b, each in enumerate(asked) for q, (_, found) in enumerate(each) for s in found
    ):
        meant[b, q, s] = 1
    power = torch.pow(10, powers)  # (B, S, T)
    return Batch(
        at_some_level(mixture, rng),
        noisy,
        torch.einsum("bqs,bstf->bqtf", meant, gains).clamp_max(1),
        there(torch.einsum("bqs,bst->bqt", meant, power), power.sum(1, keepdim=True)),
        meant.amax(-1),
    )


def there(power: Tensor, total: Tensor) -> Tensor:
    """Return how surely a source of this power is there in each frame: 0, a half or 1.

    Shape: (B, Q, T) and (B, 1, T) -> (B, Q, T).
    """
    share_db = 10 * torch.log10(power / (total + 1e-12) + 1e-12)
    level_db = 10 * torch.log10(power / (total.mean(-1, keepdim=True) + 1e-12) + 1e-12)
    sure = ((share_db > PRESENT_DB).float() + (share_db > ABSENT_DB).float()) / 2
    return sure * (level_db > SILENT_DB)


def at_some_level(mixture: Tensor, rng: random.Random) -> Tensor:
    """Give stored log magnitudes a level: by the running level that a stream has, or any fixed one.

    Shape: (B, T, F) -> the same.
    """
    draws = [
        (rng.uniform(-25, 5) / 20, rng.random() < 0.5, rng.uniform(-6, 2) / 20 + LOG_LEVEL) for _ in mixture
    ]
    shift, running, target = torch.tensor(draws, device=mixture.device).T[:, :, None, None]
    power = torch.pow(10, 2 * mixture).sum(-1) / N_BINS
    level = running_level_db(power)[..., None] / 20
    features = mixture + torch.where(running > 0, target - level, shift)
    return torch.log10(torch.pow(10, features) + MAGNITUDE_FLOOR)


def running_level_db(power: Tensor) -> Tensor:
    """Follow the level as a stream does (`dsp.level.RunningLevel`), on the tensor's own device.

    Shape: (B, T) powers -> (B, T), in dB.
    """
    power_db = (10 * torch.log10(power + 1e-20)).clamp_min(FLOOR_DB)
    fallen = RELEASE_DB_PER_S / FRAME_RATE * torch.arange(power.shape[-1], device=power.device)
    return (torch.cummax(power_db + fallen, -1).values - fallen).clamp_min(FLOOR_DB)
