"""Instruments by formula: every clip has a timbre of its own, where a soundfont has one for all.

A voice is a sum of harmonics with an envelope, a body and some breath; what each class may be like is a row
of `VOICES`, and `draw` makes one instrument of it.
"""

import random
from dataclasses import dataclass

import numpy as np

from soundlasso.models.training.blocks import Rng, Wave, coloured, samples, through, wander
from soundlasso.models.training.phrases import Note, Notes
from soundlasso.models.training.storage import SAMPLE_RATE

MOST_HARMONICS = 32
BRIGHTEST_HZ = 14000.0
Range = tuple[float, float]


@dataclass(frozen=True)
class Voice:
    """What instruments of one class have in common; of each range an instrument takes one value.

    Attributes
    ----------
    tilt
        How fast harmonics get weaker: the k-th has a weight of k ** -tilt.
    attack_s
        How long a note takes to rise.
    decay_s
        In how many seconds a note falls by 60 dB; none for one that is held.
    damp
        How much sooner high harmonics die than low ones.
    even
        Weight of even harmonics: little for a clarinet.
    breath
        Noise in the tone.
    vibrato_cents
        How far the pitch swings.
    spread_cents
        How far apart several players, or strings of one note, are.
    players
        How many there are at most.
    stiffness
        How much harmonics are sharp: stiff strings, bars.
    bodies
        How many resonances the instrument has.
    """

    tilt: Range = (0.6, 1.6)
    attack_s: Range = (0.02, 0.1)
    decay_s: Range | None = None
    damp: Range = (0.0, 0.3)
    even: Range = (0.6, 1.0)
    breath: Range = (0.0, 0.03)
    vibrato_cents: Range = (0.0, 10.0)
    spread_cents: Range = (0.0, 4.0)
    players: int = 1
    stiffness: Range = (0.0, 0.0)
    bodies: int = 3


_PLUCKED = Voice(
    (0.4, 1.3), (0.001, 0.004), (0.8, 4), (0.1, 0.8), (0.3, 1), (0, 0.01), (0, 3), (0, 3), 2, (0, 2e-4)
)
_BASS = Voice(
    (0.8, 2.0), (0.002, 0.012), (1, 5), (0.2, 1), (0.4, 1), (0, 0.01), (0, 4), (0, 2), 1, (0, 1e-4), 2
)
_BOWED = Voice(
    (0.6, 1.3), (0.03, 0.15), None, (0, 0.1), (0.7, 1), (0.005, 0.04), (5, 35), (0, 3), 1, bodies=6
)
_BRASS = Voice((0.5, 1.3), (0.02, 0.08), None, (0, 0.1), (0.8, 1), (0, 0.02), (0, 15), (0, 3), 1)
_REED = Voice((0.4, 1.2), (0.01, 0.06), None, (0, 0.1), (0.7, 1), (0.01, 0.06), (0, 20), (0, 2), 1)
_ORGAN = Voice((0.2, 1.5), (0.003, 0.05), None, (0, 0), (0.2, 1), (0, 0.01), (0, 4), (0, 6), 3, bodies=0)
_STRUCK = Voice(
    (0.8, 2.5), (0.001, 0.003), (0.4, 2.5), (0.4, 2), (0.1, 1), (0, 0.01), (0, 0), (0, 3), 1, (0, 0.02)
)
_SYNTH = Voice((0.3, 1.4), (0.002, 0.05), None, (0, 0.2), (0.0, 1), (0, 0.02), (0, 20), (0, 18), 4, bodies=1)

VOICES = {
    "acoustic_guitar": _PLUCKED, "electric_guitar": Voice(
        (0.6, 1.6), (0.001, 0.005), (1.5, 6), (0.1, 0.6), (0.3, 1), (0, 0.005), (0, 8), (0, 3), 1,
        (0, 1e-4), 2),
    "distorted_guitar": Voice(
        (0.1, 0.6), (0.001, 0.01), (4, 12), (0, 0.1), (0.5, 1), (0, 0.03), (0, 12), (0, 8), 2, bodies=2),
    "plucked_folk": _PLUCKED, "harp": _PLUCKED, "pizzicato": Voice(
        (0.7, 1.6), (0.001, 0.005), (0.2, 0.7), (0.3, 1.2), (0.5, 1), (0, 0.01), (0, 3), (0, 6), 3),
    "harpsichord": Voice(
        (0.1, 0.7), (0.001, 0.002), (1, 4), (0, 0.3), (0.6, 1), (0, 0.005), (0, 0), (0, 3), 2, (0, 1e-4)),
    "piano": Voice(
        (0.8, 1.8), (0.001, 0.006), (2, 8), (0.2, 1), (0.6, 1), (0, 0.005), (0, 0), (0, 2), 3, (1e-4, 6e-4),
        2),
    "electric_piano": Voice(
        (1.2, 2.5), (0.001, 0.006), (1.5, 6), (0.3, 1.2), (0.2, 1), (0, 0), (0, 6), (0, 5), 2, bodies=1),
    "bass_guitar": _BASS, "synth_bass": Voice(
        (0.5, 1.6), (0.002, 0.02), (0.6, 6), (0, 0.8), (0, 1), (0, 0.01), (0, 3), (0, 10), 2, bodies=1),
    "double_bass": _BASS, "violin": _BOWED, "viola": _BOWED, "cello": _BOWED, "strings": Voice(
        (0.7, 1.4), (0.05, 0.3), None, (0, 0.1), (0.7, 1), (0.005, 0.03), (3, 20), (6, 20), 6, bodies=6),
    "trumpet": _BRASS, "trombone": _BRASS, "french_horn": Voice(
        (0.9, 1.8), (0.03, 0.1), None, (0, 0.1), (0.8, 1), (0, 0.02), (0, 10), (0, 3), 1),
    "tuba": Voice((1, 2), (0.03, 0.1), None, (0, 0.1), (0.8, 1), (0, 0.02), (0, 8), (0, 3), 1),
    "brass": Voice((0.5, 1.2), (0.02, 0.12), None, (0, 0.1), (0.8, 1), (0, 0.02), (0, 12), (4, 14), 5),
    "saxophone": _REED, "oboe_bassoon": _REED, "clarinet": Voice(
        (0.5, 1.2), (0.015, 0.06), None, (0, 0.1), (0.0, 0.3), (0.005, 0.04), (0, 10), (0, 2), 1),
    "flute": Voice((1.6, 3), (0.03, 0.12), None, (0, 0), (0.3, 1), (0.03, 0.2), (5, 25), (0, 2), 1, bodies=1),
    "recorder_panflute": Voice(
        (1.6, 3.2), (0.01, 0.08), None, (0, 0), (0.1, 1), (0.03, 0.25), (0, 15), (0, 2), 1, bodies=1),
    "harmonica": Voice((0.3, 1), (0.02, 0.08), None, (0, 0), (0.6, 1), (0.01, 0.04), (0, 20), (0, 10), 2),
    "accordion": Voice((0.2, 0.9), (0.03, 0.1), None, (0, 0), (0.6, 1), (0, 0.02), (0, 4), (4, 16), 3),
    "pipe_organ": _ORGAN, "electric_organ": _ORGAN, "choir": Voice(
        (0.8, 1.6), (0.06, 0.3), None, (0, 0), (0.8, 1), (0.02, 0.08), (8, 35), (5, 25), 6, bodies=5),
    "synth_lead": _SYNTH, "synth_pad": Voice(
        (0.6, 2), (0.1, 0.8), None, (0, 0.1), (0, 1), (0, 0.05), (0, 15), (4, 20), 5, bodies=1),
    "mallets": _STRUCK, "music_box": _STRUCK, "kalimba": _STRUCK, "steel_drum": Voice(
        (0.6, 1.4), (0.001, 0.004), (0.5, 1.5), (0.3, 1), (0.5, 1), (0, 0.02), (0, 6), (0, 8), 2),
    "sitar": Voice(
        (0.1, 0.8), (0.001, 0.004), (2, 6), (0, 0.2), (0.6, 1), (0, 0.01), (0, 25), (0, 5), 2, (0, 2e-4), 4),
    "koto_shamisen": _PLUCKED,
}  # fmt: skip
"""The classes that can be played by formula."""


class Instrument:
    """One instrument of a class; it plays notes.

    Parameters
    ----------
    voice
        What it may be like.
    rng
        Draws what it is like.
    """

    def __init__(self, voice: Voice, rng: Rng) -> None:
        self._rng = rng
        self._tilt, self._attack_s = rng.uniform(*voice.tilt), rng.uniform(*voice.attack_s)
        self._decay_s = rng.uniform(*voice.decay_s) if voice.decay_s else None
        self._damp, self._breath = rng.uniform(*voice.damp), rng.uniform(*voice.breath)
        self._cents, self._spread = rng.uniform(*voice.vibrato_cents), rng.uniform(*voice.spread_cents)
        self._stiffness, self._rate_hz = rng.uniform(*voice.stiffness), rng.uniform(4.0, 6.5)
        self._players = int(rng.integers(1, voice.players + 1))
        numbers = np.arange(1, MOST_HARMONICS + 1)
        self._weights = numbers**-self._tilt * rng.uniform(0.4, 1.6, MOST_HARMONICS)
        self._weights[1::2] *= rng.uniform(*voice.even)
        self._bodies_hz = np.exp(rng.uniform(np.log(150), np.log(4000), voice.bodies)).tolist()
        self._q, self._dry = rng.uniform(1, 5), rng.uniform(0.2, 1)
        self._release_s = rng.uniform(0.03, 0.25)

    def play(self, notes: Notes, seconds: float) -> np.ndarray:
        """Play a part.  Shape: (seconds * 44100,) float32."""
        out = np.zeros(samples(seconds))
        for note in notes:
            start = round(note.start_s * SAMPLE_RATE)
            sound = self._note(note)[: max(0, len(out) - start)]
            out[start : start + len(sound)] += sound
        if self._bodies_hz:
            out = through(out, self._bodies_hz, self._q, self._dry)
        return np.asarray(out / (np.abs(out).max() + 1e-9), np.float32)

    def _note(self, note: Note) -> Wave:
        ring_s = self._release_s if self._decay_s is None else min(self._decay_s, 1.0) / 2
        n = samples(note.length_s + ring_s)
        time = np.arange(n) / SAMPLE_RATE
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        loudness = (note.velocity / 127) ** 1.5
        tone = sum((self._player(hz, time, loudness) for _ in range(self._players)), np.zeros(n))
        if self._breath > 0.002:
            tone = tone + self._breath * self._players * coloured(self._rng, n, 0.7 * hz, 6000) * wander(
                self._rng, n, 8, 0.6, 1
            )
        return np.asarray(loudness * tone * self._envelope(time, note.length_s, ring_s))

    def _player(self, hz: float, time: Wave, loudness: float) -> Wave:
        cents = self._spread * self._rng.standard_normal()
        late = np.minimum(1, time / 0.4)  # vibrato comes when a note is held
        swing = self._cents * late * np.sin(2 * np.pi * (self._rate_hz * time + self._rng.random()))
        phase = 2 * np.pi * np.cumsum(hz * 2 ** ((cents + swing) / 1200)) / SAMPLE_RATE
        out = np.zeros(len(time))
        for number in range(1, MOST_HARMONICS + 1):
            stretch = np.sqrt(1 + self._stiffness * number**2)
            weight = self._weights[number - 1] * loudness ** (0.02 * number)  # soft notes are darker
            if number * stretch * hz > BRIGHTEST_HZ or weight < 1e-3:
                break
            partial = weight * np.sin(number * stretch * phase + 2 * np.pi * self._rng.random())
            if self._decay_s is not None:
                partial *= np.exp(-6.9 * time / self._decay_s * (1 + self._damp * (number - 1)))
            out += partial
        return out

    def _envelope(self, time: Wave, length_s: float, ring_s: float) -> Wave:
        rise = np.minimum(1, time / self._attack_s)
        return np.asarray(rise * np.clip(1 - (time - length_s) / ring_s, 0, 1))


def draw(sound: str, rng: random.Random) -> Instrument:
    """Make one instrument of a class that `VOICES` holds."""
    return Instrument(VOICES[sound], np.random.default_rng(rng.getrandbits(32)))
