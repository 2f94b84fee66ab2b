"""The test lists: mixtures of held-out sources, frozen by seed, and what is asked of them.

a  two instruments; b  bands of three or four parts of one piece; c  speech over music; d  speech over an
effect; e  two effects; f  sounds that are not there, asked of mixtures like those of a to e; g  the
present sounds of a to e asked for in words never trained on.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from soundlasso.models.training.bank import Bank
from soundlasso.models.training.scenes import Chooser, Scene, band, loose
from soundlasso.models.training.storage import SAMPLE_RATE
from soundlasso.models.training.vocabulary import (
    GROUPS,
    MUSICAL,
    NUMBER,
    SPEECH,
    alike,
    captions,
    paraphrases,
)

LENGTH = 4 * SAMPLE_RATE
LEVEL_RMS = 0.06
SPREAD_DB = 5.0
ABSENT_QUERIES = 2
SEED = 20240501


@dataclass(frozen=True)
class Question:
    """One query: its text, the class it is about, and the stems it means (none: it is not there).

    `paraphrase` says the same in words kept for testing, where there are any.
    """

    text: str
    sound: str
    meant: tuple[int, ...]
    paraphrase: str = ""


@dataclass(frozen=True)
class TestMixture:
    """One mixture of a list and all that is asked of it."""

    __test__ = False  # pytest takes classes of this name for tests

    kind: str
    stems: np.ndarray  # (sources, LENGTH) float32
    questions: tuple[Question, ...]


def test_lists(bank: Bank, n_mixtures: int, seed: int = SEED) -> Iterator[TestMixture]:
    """Draw `n_mixtures` of each list; the same seed and bank give the same ones, whatever their number."""
    for kind, draw in _kinds(bank).items():
        for number in range(n_mixtures):
            rng = random.Random(f"{seed} {kind} {number}")
            scene: Scene = []
            while len(scene) < 2:
                scene = [layer for layer in draw(rng) if layer.render(LENGTH).any()]
            stems = np.stack([_at_level(layer.render(LENGTH), rng) for layer in scene])
            yield TestMixture(kind, stems, _questions(kind, [layer.sound for layer in scene], bank, rng))


test_lists.__test__ = False  # type: ignore[attr-defined]


def _kinds(bank: Bank) -> dict[str, Callable[[random.Random], Scene]]:
    def plain() -> float:
        return 1.0

    def pair(rng: random.Random, choose: Callable[[], str]) -> Scene:
        return loose(bank, rng, LENGTH, choose, 2, plain)

    def over(rng: random.Random, scene: Scene) -> Scene:
        return loose(bank, rng, LENGTH, Chooser(bank, rng).speech, 1, plain) + scene

    def effect(rng: random.Random) -> Scene:
        return loose(bank, rng, LENGTH, Chooser(bank, rng).effect, 1, plain, SPEECH)

    return {
        "a": lambda rng: pair(rng, Chooser(bank, rng).music),
        "b": lambda rng: band(bank, rng, LENGTH, rng.choice((3, 4))),
        "c": lambda rng: over(rng, band(bank, rng, LENGTH, rng.choice((2, 3)))),
        "d": lambda rng: over(rng, effect(rng)),
        "e": lambda rng: pair(rng, Chooser(bank, rng).effect),
    }


def _at_level(audio: np.ndarray, rng: random.Random) -> np.ndarray:
    rms = float(np.sqrt(np.mean(audio**2)))
    return audio * np.float32(LEVEL_RMS / rms * 10 ** (rng.uniform(-SPREAD_DB, SPREAD_DB) / 20))


def _questions(kind: str, sounds: list[str], bank: Bank, rng: random.Random) -> tuple[Question, ...]:
    """Ask for every source (over music: for the music as a whole), and for two that are not there."""
    asked = [Question(rng.choice(captions(s)), s, (i,), _paraphrase(s, rng)) for i, s in enumerate(sounds)]
    if kind == "c":
        instruments = tuple(i for i, sound in enumerate(sounds) if sound in MUSICAL)
        music = Question(
            rng.choice(GROUPS["music"].captions), "music", instruments, _paraphrase("music", rng)
        )
        asked = [question for question in asked if question.sound in SPEECH] + [music]
    heard = [NUMBER[sound] for sound in sounds]
    absent = [sound for sound in bank.sounds if not alike()[NUMBER[sound], heard].any()]
    asked += [Question(rng.choice(captions(s)), s, ()) for s in rng.sample(absent, ABSENT_QUERIES)]
    return tuple(asked)


def _paraphrase(sound: str, rng: random.Random) -> str:
    said = paraphrases(sound)
    return rng.choice(said) if said else ""
