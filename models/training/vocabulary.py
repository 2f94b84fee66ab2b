"""What sounds are called: classes, captions, groups whose target is a sum, and which classes sound alike."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soundlasso.models.training.recordings import package_data

TEMPLATES = ("{}", "the sound of {}", "{} in the background", "only {}")
"""Frames that captions are put in for training."""


@dataclass(frozen=True)
class Group:
    """A query whose target is the sum of all its members that sound."""

    captions: tuple[str, ...]
    members: frozenset[str]
    all_but: bool = False  # the target is everything that is *not* a member


@functools.cache
def _book() -> dict[str, dict[str, list[str]]]:
    book: dict[str, dict[str, list[str]]] = json.loads(package_data("captions.json"))
    return book


@functools.cache
def _more() -> dict[str, dict[str, list[str]]]:
    more: dict[str, dict[str, list[str]]] = json.loads(package_data("wordings.json"))
    return more


@functools.cache
def _owned() -> dict[str, str]:
    """Return what is said of groups, and the narrowest group that is meant by it."""
    widest_first = sorted(GROUPS.items(), key=lambda item: len(item[1].members), reverse=True)
    return {text: name for name, group in widest_first for text in group.captions}


def captions(sound: str) -> list[str]:
    """Return the captions of a class that the test lists ask with."""
    return _book()[sound]["captions"]


def wordings(sound: str) -> list[str]:
    """Return all that a class is called in training: its captions, and more ways to ask for it.

    What a group is called as well means the group: there it is the whole that is learned.
    """
    return [text for text in captions(sound) + _more()["classes"][sound] if text not in _owned()]


def group_wordings(name: str) -> list[str]:
    """Return all that a group is called in training, but for what a narrower group is called."""
    said = (*GROUPS[name].captions, *_more()["groups"][name])
    return [text for text in said if _owned().get(text, name) == name]


def paraphrases(sound: str) -> list[str]:
    """Return the captions of a class kept for testing, never trained on."""
    return _book()[sound]["paraphrases"]


SOUNDS = tuple(_book())
"""All classes; a class's number in a shard is its place here."""
NUMBER = {sound: i for i, sound in enumerate(SOUNDS)}

SPEECH = ("speech", "speech_male", "speech_female")
DRUM_PIECES = (
    "kick_drum", "snare_drum", "hi_hat", "cymbal", "tom", "rim_stick", "tambourine", "shaker", "cowbell",
    "woodblock",
    "hand_drum", "tabla", "triangle", "castanets",
)  # fmt: skip
DRUMS = ("drum_kit", *DRUM_PIECES)
GUITARS = ("acoustic_guitar", "electric_guitar", "distorted_guitar")
BASSES = ("bass_guitar", "double_bass", "synth_bass")
KEYS = ("piano", "electric_piano", "harpsichord", "electric_organ", "pipe_organ", "accordion")
BOWED = ("violin", "viola", "cello", "strings")
BRASS = ("trumpet", "trombone", "tuba", "french_horn", "brass", "fanfare")
WOODWINDS = ("flute", "clarinet", "oboe_bassoon", "recorder_panflute", "saxophone")
SYNTHS = ("synth_lead", "synth_pad", "synth_bass")
PLUCKED = ("plucked_folk", "harp", "sitar", "koto_shamisen", "pizzicato", "kalimba")
STRUCK = ("mallets", "music_box", "steel_drum", "timpani", "gong")
BLOWN = ("harmonica", "bagpipe", "didgeridoo")
MUSICAL = frozenset(
    ("drum_kit", "choir", "hand_drum", "tabla", *GUITARS, *BASSES, *KEYS, *BOWED, *BRASS, *WOODWINDS,
     *SYNTHS, *PLUCKED,
     *STRUCK, *BLOWN)
)  # fmt: skip
"""Classes that make up a band or an orchestra."""
BIRDS = ("bird_song", "crow", "owl", "seagull", "bird_of_prey", "chicken_rooster", "duck_goose")
ANIMALS = (
    "dog", "cat", "cow", "horse", "sheep_goat", "pig", "frog", "wolf", "big_cat", "elephant",
    "rodent_bat", "bear",
    "monkey", "deer_moose", "donkey_camel", "marine_mammal", *BIRDS,
)  # fmt: skip
VEHICLES = (
    "car_engine", "truck_bus", "tank", "traffic", "train", "airplane_prop", "jet", "helicopter", "motorcycle",
    "ship_boat",
)  # fmt: skip
WATER = (
    "rain",
    "stream",
    "waterfall",
    "sea_waves",
    "splash",
    "bubbles",
    "water_drip",
    "water_pour",
    "toilet_shower",
)
WEAPONS = ("explosion", "cannon", "gunshot", "machine_gun", "rocket", "fireworks", "ricochet")

WANTED_MUSIC = (
    "drum_kit", "drum_kit", "bass_guitar", "bass_guitar", "acoustic_guitar", "electric_guitar",
    "distorted_guitar",
    "piano", "piano", "electric_piano", "strings", "violin", "cello", "brass", "trumpet", "saxophone",
    "flute",
    "synth_lead", "synth_pad", "electric_organ", "pipe_organ", "choir",
)  # fmt: skip
WANTED_EFFECTS = (
    "dog", "dog", "bird_song", "bird_song", "car_engine", "traffic", "rain", "stream", "sea_waves", "wind",
    "thunder",
    "footsteps", "footsteps", "bell", "church_bell", "siren", "applause", "crowd_cheer", "crowd_chatter",
    "explosion",
    "gunshot", "train", "door", "machine_hum",
)  # fmt: skip
"""What people ask for most; drawn more often than the rest."""

GROUPS = {
    "music": Group(
        ("music", "the music", "the band", "background music", "instruments playing", "all the instruments",
         "instrumental music", "a song"),
        MUSICAL | {"music", "singing"} | set(DRUM_PIECES),
    ),
    "instruments": Group(
        ("instrumental music", "all the instruments", "instruments playing", "musical instruments",
         "the accompaniment", "the backing track", "the backing band", "music without the singing"),
        MUSICAL | {"music"} | set(DRUM_PIECES),
    ),
    "speech": Group(
        ("speech", "a person talking", "the voice", "someone speaking", "dialogue", "a human voice",
         "talking"),
        frozenset(SPEECH),
    ),
    "drums": Group(("drums", "percussion", "the drums", "a drum beat", "the drum kit"), frozenset(DRUMS)),
    "guitars": Group(("guitar", "a guitar", "the guitar", "guitars", "someone playing the guitar"),
    frozenset(GUITARS)),
    "bass": Group(("bass", "the bass", "a bass line", "bass guitar"), frozenset(BASSES)),
    "keys": Group(("keyboards", "keys", "a keyboard instrument"), frozenset(KEYS)),
    "strings": Group(
        ("strings", "bowed strings", "string instruments", "the string section"), frozenset((*BOWED,
         "pizzicato"))
    ),
    "brass": Group(("brass", "the brass", "horns", "brass instruments"), frozenset(BRASS)),
    "woodwinds": Group(("woodwinds", "wind instruments", "a woodwind instrument"), frozenset(WOODWINDS)),
    "synth": Group(("synth", "synthesizer", "a synthesizer", "electronic sounds"), frozenset(SYNTHS)),
    "organ": Group(("organ", "an organ", "the organ"), frozenset(("pipe_organ", "electric_organ"))),
    "animals": Group(("animals", "an animal", "animal sounds"), frozenset(ANIMALS)),
    "birds": Group(("birds", "a bird", "the birds"), frozenset(BIRDS)),
    "vehicles": Group(("vehicles", "a vehicle", "an engine", "engine noise"), frozenset(VEHICLES)),
    "water": Group(("water", "running water", "the sound of water"), frozenset(WATER)),
    "weapons": Group(("shooting", "gunfire and explosions", "weapons"), frozenset(WEAPONS)),
    "crowd": Group(("a crowd", "the audience", "an audience"), frozenset(("applause", "crowd_cheer",
    "crowd_chatter"))),
    "bells": Group(("bells", "a bell"), frozenset(("bell", "church_bell", "chimes"))),
    "not speech": Group(
        ("everything except the voice", "everything but the speech", "background sound", "background noise",
         "the background without the voice"),
        frozenset(SPEECH), all_but=True,
    ),
    "not drums": Group(("everything except the drums", "all but the drums"), frozenset(DRUMS), all_but=True),
}  # fmt: skip

_ALIKE = (
    (*SPEECH, "singing", "laughter", "crowd_chatter", "beatbox", "scream_grunt", "baby_cry"),
    (*DRUMS, "timpani", "beatbox", "hand_clap"),
    (*PLUCKED, "acoustic_guitar", "electric_guitar"), GUITARS, (*BASSES, "electric_guitar",
     "distorted_guitar"),
    (*BOWED, "pizzicato", "synth_pad", "choir"), ("choir", "singing"),
    (*BRASS, "saxophone", "synth_lead", "war_horn", "fanfare", "electric_organ"),
    (*WOODWINDS, "whistling", "harmonica", "synth_lead", "pipe_organ"),
    ("piano", "electric_piano", "harpsichord", "mallets"),
    ("mallets", "music_box", "kalimba", "steel_drum", "bell", "church_bell", "chimes", "electric_piano",
     "triangle"),
    ("pipe_organ", "electric_organ", "accordion", "harmonica", "bagpipe", "synth_pad"), SYNTHS,
    ("synth_lead", "distorted_guitar", "violin", "beep", "laser"),
    (*WEAPONS, "thunder", "rockfall", "crash", "whip", "balloon_pop", "body_impact", "door"),
    (*WATER, "steam", "wind", "radio_static", "fire", "applause", "snake_hiss", "flamethrower"),
    ("applause", "hand_clap", "crowd_cheer", "crowd_chatter", "music"),
    (*VEHICLES, "machine_hum", "factory", "mill_loom", "vacuum_appliance", "chainsaw", "drill", "wind",
     "rocket"),
    ("metal_hit", "anvil", "hammer", "sword", "pickaxe_mining", "bell", "coins", "glass_clink",
     "stone_hit", "cowbell"),
    ("wood_hit", "door", "axe_chop", "wood_creak", "body_impact", "stone_hit", "ball", "footsteps",
     "woodblock",
     "tree_fall", "hammer", "digging", "horse_gallop"),
    ("typing", "mouse_click", "switch_click", "camera", "gun_reload", "clock_tick", "paper_cards"),
    ("scream_grunt", "monster_growl", "laughter", "big_cat", "wolf", "bear", "dog", "pig"),
    (*BIRDS, "rodent_bat", "monkey", "whistling", "wings_flap"), ("cow", "sheep_goat", "deer_moose",
     "donkey_camel"),
    ("alarm", "beep", "siren", "telephone", "car_horn", "ship_horn", "train_whistle", "sonar", "war_horn"),
    ("laser", "electric_spark", "beep"), ("cricket", "bee_insect", "frog"), ("whoosh", "arrow",
     "wings_flap", "whip"),
    ("glass_break", "glass_clink", "crash"), ("zipper_cloth", "paper_cards", "fire", "footsteps"),
    ("car_skid", "car_horn", "wood_creak"),
)  # fmt: skip
_HELD = (
    ("train", "train_whistle"), ("horse", "horse_gallop"), ("sea_waves", "seagull", "ship_boat"),
    ("traffic", "car_horn", "siren", "car_skid"), ("ship_boat", "ship_horn"), ("thunder", "rain"),
    ("cymbal", "crash", "gong"), ("gong", "bell", "church_bell"), ("bell", "telephone", "alarm"),
    ("saw", "drill", "chainsaw"), (*BASSES, "cello", "tuba"), ("crowd_cheer", "fanfare", "whistling"),
)  # fmt: skip
"""What recordings of one class may hold of another: rain falls while it thunders."""


@functools.cache
def alike() -> np.ndarray:
    """Tell which classes are never each other's absent query: they sound alike, or one holds the other.

    Shape: (classes, classes) of bool, symmetric, true on the diagonal.
    """
    near = _together(_ALIKE)
    within = [
        NUMBER[sound] for sound in (*MUSICAL, *DRUM_PIECES, "singing", "whistling", "fanfare", "beatbox")
    ]
    near[NUMBER["music"], within] = near[within, NUMBER["music"]] = True
    return near


@functools.cache
def confusable() -> np.ndarray:
    """Tell which classes are never asked for in training as absent where the other is heard.

    The test lists keep to `alike`, and so stay what they are.  Shape: (classes, classes) of bool.
    """
    return np.asarray(alike() | _together(_HELD))


def _together(families: Sequence[Sequence[str]]) -> np.ndarray:
    near = np.eye(len(SOUNDS), dtype=bool)
    for family in families:
        ids = [NUMBER[sound] for sound in family]
        near[np.ix_(ids, ids)] = True
    return near
