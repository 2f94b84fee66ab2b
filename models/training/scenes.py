"""What sounds together in one mixture: bands that play one piece, speech over music, effects."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from soundlasso.models.training.bank import Bank, Placement, Take, Track
from soundlasso.models.training.vocabulary import (
    DRUM_PIECES,
    MUSICAL,
    NUMBER,
    SPEECH,
    WANTED_EFFECTS,
    WANTED_MUSIC,
    alike,
)

MAX_LAYERS = 5


@dataclass(frozen=True)
class Layer:
    """One source of a mixture: its class, and what sounds; a second track is a second recording of it."""

    sound: str
    tracks: tuple[Track, ...]

    def render(self, length: int) -> np.ndarray:
        """Return the sound at whatever level it was kept.  Shape: (length,) float32."""
        rendered = [track.render(length) for track in self.tracks]
        return np.asarray(np.sum(rendered, axis=0), np.float32)


Scene = list[Layer]


def band(bank: Bank, rng: random.Random, length: int, n_parts: int, rate: float = 1.0) -> Scene:
    """Let parts of one piece play together, in time and in tune; parts that rest there are left out."""
    takes = rng.choice(bank.pieces)
    chosen: dict[str, Take] = {}
    for take in rng.sample(takes, len(takes)):
        chosen.setdefault(take.clip.sound, take)
    parts = list(chosen.values())[:n_parts]
    span = round(length * rate)
    offset = rng.randrange(max(1, parts[0].clip.length - span))
    layers = [Layer(take.clip.sound, (Track(span, (Placement(take, -offset),)),)) for take in parts]
    return [layer for layer in layers if not layer.tracks[0].is_quiet()]


def loose(
    bank: Bank,
    rng: random.Random,
    length: int,
    choose: Callable[[], str],
    count: int,
    rate: Callable[[], float],
    beside: tuple[str, ...] = (),
) -> Scene:
    """Draw `count` classes that do not sound alike (nor like those of `beside`) and lay them in."""
    sounds: list[str] = []
    for _ in range(20 * count):
        sound = choose()
        if len(sounds) < count and not any(
            alike()[NUMBER[sound], NUMBER[other]] for other in (*sounds, *beside)
        ):
            sounds.append(sound)
    return [Layer(sound, (bank.track(sound, length, rng, rate()),)) for sound in sounds]


class Chooser:
    """Draws classes of one bank, those people ask for most often more often than the rest."""

    def __init__(self, bank: Bank, rng: random.Random) -> None:
        self._rng = rng
        have = set(bank.sounds)
        self._speech = [s for s in SPEECH if s in have]
        self._sings = "singing" in have
        self._music = sorted(have & MUSICAL)
        self._wanted_music = [s for s in WANTED_MUSIC if s in have]
        self._effects = sorted(have - MUSICAL - set(SPEECH) - {"music"})
        self._wanted_effects = [s for s in WANTED_EFFECTS if s in have]
        if not (self._speech and self._music and self._effects):
            raise ValueError(f"a bank needs speech, music and effects; this one has {sorted(have)!r}")

    def speech(self) -> str:
        """Draw a voice."""
        return self._rng.choice(self._speech)

    def voice(self) -> str:
        """Draw what people do over music: a third of them sing."""
        return "singing" if self._sings and self._rng.random() < 0.35 else self.speech()

    def music(self) -> str:
        """Draw an instrument."""
        wanted = self._wanted_music and self._rng.random() < 0.6
        return self._rng.choice(self._wanted_music if wanted else self._music)

    def effect(self) -> str:
        """Draw an effect; single drums, being no effects, seldom."""
        if self._rng.random() < 0.5 and self._wanted_effects:
            return self._rng.choice(self._wanted_effects)
        sound = self._rng.choice(self._effects)
        return self._rng.choice(self._effects) if sound in DRUM_PIECES else sound

    def anything(self) -> str:
        """Draw any class."""
        return self._rng.choice((self.speech, self.music, self.effect))()


def training_scene(bank: Bank, chooser: Chooser, rng: random.Random, length: int) -> Scene:
    """Draw a mixture to train on: half of them musical, the rest speech and effects; one to five sources."""

    def rate() -> float:
        return float(2 ** rng.uniform(-0.3, 0.3)) if rng.random() < 0.4 else 1.0

    def any_size() -> float:
        """Dogs, engines and bells come in more sizes than voices and instruments, and fewer recordings."""
        return float(2 ** rng.uniform(-0.6, 0.6)) if rng.random() < 0.6 else 1.0

    kind = rng.random()
    musical = kind < 0.5
    count = rng.choice((1, 2, 2, 2, 2, 3, 3))
    if kind < 0.3 and bank.pieces:
        scene = band(bank, rng, length, rng.choice((1, 2, 3, 3, 4, 4)), rate())
        over = rng.random() < 0.3
    elif kind < 0.45:
        scene = loose(bank, rng, length, chooser.music, rng.choice((1, 2, 2, 3, 4)), rate)
        over = rng.random() < 0.25
    elif kind < 0.5 and "music" in bank.by_sound:
        scene, over = [Layer("music", (bank.track("music", length, rng, rate()),))], rng.random() < 0.8
    elif kind < 0.66:
        scene, over = loose(bank, rng, length, chooser.effect, count, any_size), True
    else:
        choose, size = (chooser.effect, any_size) if rng.random() < 0.7 else (chooser.anything, rate)
        scene, over = loose(bank, rng, length, choose, count, size), False
    if over and not any(layer.sound in SPEECH for layer in scene):
        present = tuple(layer.sound for layer in scene if layer.sound not in ("choir", "crowd_chatter"))
        scene += loose(bank, rng, length, chooser.voice if musical else chooser.speech, 1, rate, present)
    if rng.random() < 0.08:
        scene = _doubled(bank, scene, rng, length, rate)
    return scene[:MAX_LAYERS]


def _doubled(bank: Bank, scene: Scene, rng: random.Random, length: int, rate: Callable[[], float]) -> Scene:
    """Add a second recording of one class to the first: two dogs, two voices, one target."""
    i = rng.randrange(len(scene)) if scene else 0
    return [
        Layer(layer.sound, (*layer.tracks, bank.track(layer.sound, length, rng, rate()))) if k == i else layer
        for k, layer in enumerate(scene)
    ]
