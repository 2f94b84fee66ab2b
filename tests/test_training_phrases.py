"""Tests of the notes: pieces, phrases, registers, kits."""

import random
import shutil
from pathlib import Path

import mido
import numpy as np
import pytest

from soundlasso.models.training.casting import cast, pair_tasks, split_of
from soundlasso.models.training.compose import KICK, SNARE, compose
from soundlasso.models.training.fonts import GM_DRUMS, TEST_FAMILY, Kit, kits_from, presets
from soundlasso.models.training.instruments import runs, unison
from soundlasso.models.training.phrases import (
    HIGHEST,
    LOWEST,
    SCALES,
    Note,
    Part,
    Piece,
    cut,
    into_register,
    read_midi,
    role,
    solo,
    top_line,
)
from soundlasso.models.training.scores import _read
from soundlasso.models.training.storage import SAMPLE_RATE

TIME_S = 0.002  # a MIDI file's ticks are this fine at our tempo


def _midi(path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    for channel, pitch in ((0, 72), (9, 36)):
        track = mido.MidiTrack()
        file.tracks.append(track)
        for _ in range(24):
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=90, time=120))
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=120))
    file.save(path)


def test_a_midi_file_becomes_parts_in_time(tmp_path: Path):
    _midi(tmp_path / "song.mid")
    piece = read_midi(tmp_path / "song.mid")
    assert [part.role for part in piece.parts] == ["lead", "drums"]
    for part in piece.parts:
        assert len(part.notes) == 24
        for i, note in enumerate(part.notes):
            assert abs(note.start_s - (0.125 + 0.25 * i)) < TIME_S
            assert abs(note.length_s - 0.125) < TIME_S


def test_a_cut_moves_all_parts_together():
    steps = [Note(i * 0.5, 0.4, 60, 90) for i in range(100)]
    piece = Piece("p", (Part("lead", steps), Part("bass", [n._replace(pitch=40) for n in steps])))
    parts = cut(piece, random.Random(3), 10.0).parts
    assert [n.start_s for n in parts[0].notes] == [n.start_s for n in parts[1].notes]
    assert all(0 <= n.start_s and n.start_s + n.length_s <= 10.0 + 1e-9 for n in parts[0].notes)


def test_roles_follow_register_and_polyphony():
    chords = [Note(i * 0.5, 0.4, 60 + p, 90) for i in range(8) for p in (0, 4, 7)]
    assert role(chords) == "chords"
    assert role([n._replace(length_s=2.0) for n in chords]) == "pad"
    assert role([Note(i * 0.5, 0.4, 40, 90) for i in range(8)]) == "bass"
    assert role([Note(i * 0.5, 0.4, 70, 90) for i in range(8)]) == "lead"


def test_the_top_line_is_one_voice():
    chords = [Note(i * 0.5, 0.4, 60 + p, 90) for i in range(8) for p in (0, 7, 4)]
    assert [n.pitch for n in top_line(chords)] == [67] * 8


@pytest.mark.parametrize("centre", [30, 60, 100])
def test_a_register_is_reached_by_octaves(centre: int):
    notes = [Note(0.0, 1.0, pitch, 90) for pitch in (58, 60, 62)]
    moved = into_register(notes, centre, random.Random(0))
    assert {(m.pitch - n.pitch) % 12 for m, n in zip(moved, notes, strict=True)} == {0}
    assert abs(np.mean([m.pitch for m in moved]) - centre) <= 6
    extreme = into_register([Note(0.0, 1.0, 127, 90)], 127, random.Random(0))
    assert LOWEST <= extreme[0].pitch <= HIGHEST


@pytest.mark.parametrize("seed", range(5))
def test_a_composed_piece_stays_in_one_key_and_in_its_time(seed: int):
    piece = compose(random.Random(seed), "p", 12.0)
    pitched = [part for part in piece.parts if part.role != "drums"]
    assert len(pitched) >= 2 and any(part.role == "drums" for part in piece.parts)
    classes = {note.pitch % 12 for part in pitched for note in part.notes}
    keys = [{(root + step) % 12 for step in scale} for root in range(12) for scale in SCALES]
    assert any(classes <= key for key in keys)
    assert all(0 <= note.start_s < 12.0 for part in piece.parts for note in part.notes)


def test_a_solo_of_one_voice_never_plays_two_notes_at_once():
    notes = solo(random.Random(1), 20.0, ("melody",))
    starts = [note.start_s for note in notes]
    assert len(notes) > 20 and len(set(starts)) == len(starts)


def test_a_kit_plays_each_note_at_its_time():
    click = np.zeros(100, np.float32)
    click[0] = 1.0
    kit = Kit("kit", {"kick_drum": [click], "snare_drum": [0.5 * click]})
    audio = kit.play(
        [Note(0.1, 0.1, KICK, 127), Note(0.3, 0.1, SNARE, 127), Note(0.999, 0.1, KICK, 127)],
        1.0,
        random.Random(0),
    )
    assert len(audio) == SAMPLE_RATE
    hits = np.flatnonzero(audio)
    np.testing.assert_array_equal(hits, [round(t * SAMPLE_RATE) for t in (0.1, 0.3, 0.999)])
    np.testing.assert_allclose(audio[hits], [1.0, 0.5, 1.0], rtol=1e-6)


def test_a_kit_without_a_snare_is_not_whole():
    click = np.ones(10, np.float32)
    kits = kits_from([("a", "kick_drum", click), ("a", "snare_drum", click), ("b", "kick_drum", click)])
    assert [kit.name for kit in kits] == ["a"]


def test_the_test_family_is_only_for_testing():
    assert {p.family for p in presets()} > {TEST_FAMILY}
    assert split_of(TEST_FAMILY, 0) == split_of(TEST_FAMILY, 15) == "test"
    assert {split_of("fluid", n) for n in range(32)} == {"train", "valid"}


def test_every_part_of_a_cast_piece_has_another_class():
    band: dict[str, list] = {}
    for preset in presets():
        band.setdefault(preset.sound, []).append(preset)
    tasks = list(cast(random.Random(2), compose(random.Random(2), "p", 8.0), band, "train"))
    sounds = [task.clip.sound for task in tasks]
    assert len(sounds) >= 3 and len(set(sounds)) == len(sounds)
    assert {task.clip.piece for task in tasks} == {"p"}
    assert sum(len(group) for _, group in runs(tasks)) == len(tasks)


def test_drum_keys_are_classes_of_recordings():
    assert GM_DRUMS[KICK] == "kick_drum" and GM_DRUMS[SNARE] == "snare_drum"


def test_a_score_is_read_alike_wherever_it_is_installed(tmp_path: Path):
    corpus = pytest.importorskip("music21.corpus")
    path = Path(str(sorted(map(str, corpus.getComposer("joplin")))[0]))
    elsewhere = tmp_path / path.name
    shutil.copyfile(path, elsewhere)
    read = _read(str(path))
    assert read is not None and len(read[1]) >= 2
    assert _read(str(elsewhere)) == read


def test_pairs_are_of_one_class_and_of_two_families_none_of_them_the_test_one():
    written = [compose(random.Random(seed), "p", 16.0) for seed in range(4)]
    tasks = list(pair_tasks(random.Random(1), written, solos=1, pieces=4))
    pairs = [(task.preset, task.second) for task in tasks if task.preset and task.second]
    assert len(pairs) > 60
    assert all(one.sound == other.sound and one.family != other.family for one, other in pairs)
    assert TEST_FAMILY not in {preset.family for pair in pairs for preset in pair}
    assert {task.clip.split for task in tasks} == {"train"}
    for _, group in runs(tasks):
        assert len({(t.preset and t.preset.family, t.second and t.second.family) for t in group}) == 1


def test_in_unison_both_are_heard():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 1000)).astype(np.float32) * np.array([[1.0], [0.01]])
    levels_db = []
    for seed in range(200):
        mixed = unison(one, other, random.Random(seed))
        (a, b), *_ = np.linalg.lstsq(np.stack([one, other], 1), mixed, rcond=None)
        levels_db.append(20 * np.log10(b / a) - 40)  # as both were made equally loud
    assert -10.5 < min(levels_db) < -8 and 8 < max(levels_db) < 10.5
