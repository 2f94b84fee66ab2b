"""Tests of mixtures: what is laid where, ideal gains, shards, and the same made on a device."""

import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from soundlasso.dsp.bands import N_BINS, BandMap, band_edges
from soundlasso.dsp.level import RunningLevel
from soundlasso.dsp.stft import istft, stft
from soundlasso.models.training import examples
from soundlasso.models.training.augment import band_limit, equaliser, hiss, recolour, room
from soundlasso.models.training.bank import MISLEADING, Bank, Placement, Take, Track, lay
from soundlasso.models.training.device import DeviceMixer
from soundlasso.models.training.examples import (
    HOP_SAMPLES,
    LENGTH,
    LEVEL,
    N_FRAMES,
    OF_A_SIZE,
    describe,
    spectra,
    training_example,
)
from soundlasso.models.training.mix import make_shard, next_path, read_shard, shard_paths
from soundlasso.models.training.queries import (
    AS_POPULAR,
    FRAME_RATE,
    Asker,
    Words,
    at_some_level,
    is_missing,
    make_batch,
    running_level_db,
    there,
)
from soundlasso.models.training.scenes import MAX_LAYERS, Chooser, band, training_scene
from soundlasso.models.training.storage import SAMPLE_RATE, TOGETHER, Cache, Clip, to_int16, write_shelf
from soundlasso.models.training.vocabulary import GROUPS, NUMBER, SOUNDS, SPEECH, alike, confusable
from tests.training_material import LOOSE, PIECES, make_cache

GAIN_STEP = 1 / 255  # gains are stored in eight bits
LINEAR_DB = -45.0  # linear interpolation against soxr, for tones below 1 kHz


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return make_cache(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def bank(cache: Cache) -> Bank:
    return Bank(cache, "train")


def test_a_bank_holds_one_split_and_its_pieces(cache: Cache, bank: Bank):
    assert set(bank.sounds) == set(LOOSE) | set(PIECES)
    assert all(take.clip.split == "train" for take in bank.takes)
    assert [take.number for take in bank.takes] == list(range(len(bank.takes)))
    assert [{take.clip.sound for take in piece} for piece in bank.pieces] == [set(PIECES)]


def test_a_track_plays_takes_where_they_are_placed():
    samples = np.arange(1, 101, dtype=np.int16) * 100
    take = Take(Clip(20, 50, "dog", "kennel", "train"), samples, 0)
    track = Track(80, (Placement(take, -10, 0.5), Placement(take, 60)))
    wanted = np.zeros(80, np.float32)
    wanted[:40] += 0.5 * samples[30:70] / 32768
    wanted[60:] += samples[20:40] / 32768
    np.testing.assert_allclose(track.render(80), wanted, atol=1e-7)


def test_a_track_at_double_speed_is_an_octave_higher():
    sine = (20000 * np.sin(2 * np.pi * 300 * np.arange(20000) / SAMPLE_RATE)).astype(np.int16)
    take = Take(Clip(0, 20000, "dog", "kennel", "train"), sine, 0)
    audio = Track(16384, (Placement(take, 0),)).render(8192)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(8192)))
    assert abs(spectrum.argmax() * SAMPLE_RATE / 8192 - 600) < 6


@pytest.mark.parametrize("seed", range(20))
def test_short_takes_are_laid_inside_the_window(bank: Bank, seed: int):
    takes = bank.by_sound["dog"]["train dog"]
    track = lay(takes, 50000, random.Random(seed))
    assert all(-p.take.clip.length < p.at < 50000 for p in track.placements)
    assert track.render(50000).shape == (50000,)


def test_a_quiet_track_is_known_without_rendering(bank: Bank):
    for seed in range(10):
        track = bank.track("dog", LENGTH, random.Random(seed))
        loud = float(np.mean(track.render(LENGTH) ** 2))
        if track.is_quiet():
            assert loud < 3e-5
        else:
            assert loud > 3e-6


def test_parts_of_a_piece_keep_their_time(bank: Bank):
    layers = band(bank, random.Random(1), LENGTH, 4, rate=1.2)
    assert len(layers) >= 3
    assert len({layer.tracks[0].placements[0].at for layer in layers}) == 1
    assert {layer.tracks[0].span for layer in layers} == {round(LENGTH * 1.2)}


def test_scenes_have_one_to_five_layers_of_known_classes(bank: Bank):
    rng = random.Random(0)
    chooser = Chooser(bank, rng)
    scenes = [training_scene(bank, chooser, rng, LENGTH) for _ in range(200)]
    assert all(len(scene) <= MAX_LAYERS for scene in scenes)
    assert {1, 2, 3, 4} <= {len(scene) for scene in scenes}
    assert {layer.sound for scene in scenes for layer in scene} == set(bank.sounds)
    assert any(len(layer.tracks) == 2 for scene in scenes for layer in scene)


def test_some_voices_over_music_sing_where_there_are_singers(bank: Bank):
    silent = Chooser(bank, random.Random(0))
    assert {silent.voice() for _ in range(50)} <= set(SPEECH)
    choir = copy.copy(bank)
    choir.sounds = [*bank.sounds, "singing"]
    chooser = Chooser(choir, random.Random(0))
    sung = sum(chooser.voice() == "singing" for _ in range(300))
    assert 70 < sung < 140


def test_a_source_alone_has_gain_one_wherever_it_sounds():
    audio = np.random.default_rng(0).standard_normal((1, LENGTH)).astype(np.float32)
    example = describe(spectra(audio), ["rain"])
    assert example.gains[0].min() == 255
    assert not example.gains[1:].any()
    assert list(example.sounds) == [NUMBER["rain"], -1, -1, -1, -1]
    power = 10 ** (2 * example.mixture.astype(np.float64))
    assert abs(np.sqrt(power.sum(-1).mean() / N_BINS) / LEVEL - 1) < 1e-2


def test_ideal_gains_of_all_sources_add_up_to_one():
    rng = np.random.default_rng(1)
    audio = rng.standard_normal((3, LENGTH)).astype(np.float32) * np.array([[1.0], [0.5], [0.2]], np.float32)
    sources = spectra(audio)
    power = BandMap(N_BINS).power_to_bands(torch.from_numpy(np.abs(sources.sum(0)) ** 2))
    cross = (sources * sources.sum(0).conj()).real
    ideal = BandMap(N_BINS).power_to_bands(torch.from_numpy(cross)) / power
    np.testing.assert_allclose(ideal.sum(0), 1, atol=1e-3)
    stored = describe(sources, ["rain", "dog", "bell"]).gains[:3].astype(np.float32) / 255
    np.testing.assert_allclose(stored, ideal.clamp(0, 1), atol=GAIN_STEP)


def test_ideal_gains_give_the_source_back():
    time = np.arange(LENGTH) / SAMPLE_RATE
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (200.0, 2000.0))
    example = describe(spectra(np.stack([low, high])), ["bass_guitar", "flute"])
    gains = torch.from_numpy(example.gains[0].astype(np.float32) / 255)
    mixture = stft(torch.from_numpy(low + high), HOP_SAMPLES)[
        3 : 3 + N_FRAMES
    ]  # the frames with a whole past
    everything = torch.zeros(3, N_BINS, dtype=mixture.dtype)
    kept = torch.cat([everything, mixture * BandMap(N_BINS).gains_to_bins(gains), everything])
    stem = istft(kept, HOP_SAMPLES, LENGTH).numpy()
    middle = slice(8192, -8192)
    error = stem[middle] - low[middle]
    assert 10 * np.log10(np.mean(low**2) / np.mean(error**2)) > 20


def test_the_device_describes_examples_as_the_cpu_does(bank: Bank, cache: Cache):
    audio = np.random.default_rng(2).standard_normal((2, LENGTH)).astype(np.float32)
    audio[1] *= np.linspace(0, 0.5, LENGTH, dtype=np.float32)
    sources = spectra(audio)
    wanted = describe(sources, ["rain", "dog"])
    mixer = DeviceMixer(bank, Asker(Words(cache), bank.sounds, 4), "cpu")
    mixture, gains, powers = mixer.describe(torch.from_numpy(sources)[None])
    np.testing.assert_allclose(mixture[0], wanted.mixture.astype(np.float32), atol=4e-3)
    np.testing.assert_allclose(gains[0], wanted.gains[:2] / 255, atol=GAIN_STEP)
    np.testing.assert_allclose(powers[0], wanted.powers[:2].astype(np.float32), atol=4e-3)


def test_the_device_plays_scenes_as_the_cpu_does(bank: Bank, cache: Cache):
    from soundlasso.models.training.device import make_plan

    rng = random.Random(4)
    chooser = Chooser(bank, rng)
    scenes = [training_scene(bank, chooser, rng, LENGTH) for _ in range(4)]
    mixer = DeviceMixer(bank, Asker(Words(cache), bank.sounds, 4), "cpu")
    waves = mixer.waves(make_plan(scenes, mixer._starts, rng)).numpy()
    for b, scene in enumerate(scenes):
        for s, layer in enumerate(scene):
            wanted = layer.render(LENGTH)[500:-500]
            error = np.mean((waves[b, s, 500:-500] - wanted) ** 2) / (np.mean(wanted**2) + 1e-12)
            assert 10 * np.log10(error + 1e-12) < LINEAR_DB / 2
        assert not waves[b, len(scene) :].any()


def test_a_device_makes_whole_batches(bank: Bank, cache: Cache):
    mixer = DeviceMixer(bank, Asker(Words(cache), bank.sounds, 4), "cpu")
    batch, again = mixer.fixed(2, 32, 2)[0], mixer.fixed(2, 32, 2)[0]
    assert batch.features.shape == (2, 32, 256) and batch.gains.shape == (2, 4, 32, 256)
    assert all(bool(torch.isfinite(field).all()) for field in batch)
    assert torch.equal(batch.asked, again.asked)


def test_an_example_may_begin_with_partly_filled_frames(bank: Bank, monkeypatch: pytest.MonkeyPatch):
    first = {}
    for often in (0.0, 1.0):
        monkeypatch.setattr(examples, "BEGINS", often)
        rng = random.Random(7)
        chosen = [training_example(bank, Chooser(bank, rng), rng) for _ in range(12)]
        powers = 10 ** np.stack([example.powers for example in chosen]).astype(np.float64).sum(1)
        first[often] = float(np.median(powers[:, 0] / powers[:, 4:20].mean(1)))
        assert np.isfinite(powers).all()
    assert first[1.0] < 0.1 < first[0.0]  # a quarter of a window, under its slope, holds some 4 % of it


def test_sources_that_are_not_what_they_say_are_left_out(tmp_path: Path):
    cache = make_cache(tmp_path)
    samples = to_int16(np.sin(np.arange(SAMPLE_RATE)))
    assert samples is not None
    wrong = next(iter(MISLEADING))
    names = (wrong, f"fluid:0:0{TOGETHER}{wrong}", "fluid:0:0", f"fluid:0:0{TOGETHER}fluid:0:1")
    clips = [(Clip(0, 0, "electric_organ", name, "train"), samples) for name in names]
    write_shelf(cache.room("instruments") / "more-000", clips)
    assert set(Bank(cache, "train").by_sound["electric_organ"]) == set(names[2:])


def test_music_may_be_missing_where_someone_speaks():
    speech, singing = [NUMBER["speech_male"]], [NUMBER["singing"]]
    assert is_missing(GROUPS["music"], speech) and not is_missing(GROUPS["music"], singing)
    assert not is_missing(GROUPS["speech"], speech)


def test_shards_are_read_as_they_were_written(cache: Cache, bank: Bank):
    path = make_shard(cache, "train", 3)
    shard = read_shard(path)
    assert shard.mixture.shape == (3, N_FRAMES, 256) and shard.gains.shape == (3, MAX_LAYERS, N_FRAMES, 256)
    rng = random.Random(f"train {path.stem}")
    first = training_example(bank, Chooser(bank, rng), rng)
    np.testing.assert_array_equal(shard.sounds[0], first.sounds)
    np.testing.assert_array_equal(shard.gains[0], first.gains)
    assert make_shard(cache, "train", 1).stem > path.stem
    assert len(shard_paths(cache, "train")) == 2


def test_an_empty_folder_can_begin_with_other_mixtures(tmp_path: Path):
    cache = make_cache(tmp_path)
    drawn = []
    for first in (7, 300):
        path = make_shard(cache, "train", 4, first=first)
        assert path.stem == f"{first:08d}"
        drawn.append(read_shard(path).mixture)
        assert int(next_path(cache, "train", first).stem) == first + 1
        path.unlink()
    assert not np.array_equal(*drawn)


def test_a_room_leaves_the_direct_sound_and_adds_a_tail():
    click = np.zeros(30000, np.float32)
    click[1000] = 1
    wet = room(click, random.Random(0))
    assert not wet[:1000].round(5).any()
    assert abs(wet[1000] - 1) < 0.5
    assert 0 < float(np.sum(wet[1001:] ** 2)) < 1


def test_equalisers_are_smooth_and_band_limits_steep():
    gain_db = 20 * np.log10(equaliser(N_BINS, random.Random(1)))
    assert 1 < np.ptp(gain_db) < 40 and np.abs(np.diff(gain_db)).max() < 3
    limit = band_limit(N_BINS, random.Random(1))
    assert limit[0] == 1 and limit[-1] < 0.01 and set(np.sign(np.diff(limit))) == {0.0, -1.0}


def test_hiss_is_white_and_far_below_the_sound():
    tone = np.sin(np.arange(60000) * 0.05).astype(np.float32)
    levels_db = []
    for seed in range(40):
        noise = hiss(tone, random.Random(seed)) - tone
        power = np.abs(np.fft.rfft(noise)).reshape(1, -1)[:, :30000].reshape(10, -1) ** 2
        np.testing.assert_allclose(power.mean(1) / power.mean(), 1, atol=0.1)
        levels_db.append(10 * np.log10(np.mean(noise**2) / np.mean(tone**2)))
    assert -46 < min(levels_db) < -40 and -25 < max(levels_db) < -19
    assert not hiss(np.zeros(100, np.float32), random.Random(0)).any()


def test_hiss_follows_the_level_half_the_time():
    tone = np.sin(np.arange(60000) * 0.05).astype(np.float32)
    tone[30000:] *= 0.01
    falls = []
    for seed in range(40):
        noise = hiss(tone, random.Random(seed)) - tone
        falls.append(20 * np.log10(np.std(noise[:29000]) / np.std(noise[31000:])))
    followed = np.array(falls) > 20
    np.testing.assert_allclose(np.where(followed, 40, 0), falls, atol=0.5)  # dB
    assert 10 < followed.sum() < 30


def test_mixtures_are_recoloured_as_an_equaliser_would_and_gains_stay():
    sources = spectra(np.random.default_rng(5).standard_normal((2, LENGTH)).astype(np.float32))
    plain = describe(sources, ["rain", "dog"])
    torch.manual_seed(0)
    features = torch.from_numpy(plain.mixture.astype(np.float32))[None].expand(50, -1, -1)
    curves = (recolour(features, 4.0) - features)[:, 0].numpy()
    bins = np.repeat(10 ** curves[0], np.diff(band_edges()))
    equalised = describe(sources * bins.astype(np.float32), ["rain", "dog"])
    np.testing.assert_allclose(equalised.gains / 255, plain.gains / 255, atol=GAIN_STEP)
    change = equalised.mixture.astype(np.float32) - plain.mixture.astype(np.float32)
    np.testing.assert_allclose(
        change - change.mean(), np.tile(curves[0] - curves[0].mean(), (N_FRAMES, 1)), atol=8e-3
    )
    assert 2.5 < 20 * curves.std() < 4.5 and 20 * np.abs(np.diff(curves)).max() < 1.5  # varied, and smooth
    assert torch.equal(recolour(features, 0.0), features)


def test_absent_queries_never_sound_like_what_is_there(cache: Cache, bank: Bank):
    asker, rng = Asker(Words(cache), bank.sounds, 6), random.Random(0)
    for _ in range(200):
        present = rng.sample(["speech_female", "dog", "rain", "piano", "explosion"], rng.randrange(1, 3))
        sounds = np.array([NUMBER[s] for s in present] + [-1] * (MAX_LAYERS - len(present)))
        asked = asker.ask(sounds, rng, [NUMBER[s] for s in ("piano", "dog", "thunder")])
        assert len(asked) == 6
        for name, meant in asked:
            group = GROUPS.get(name.removeprefix("group "))
            if not meant and group and group.all_but:
                assert set(present) <= group.members
            elif not meant:
                members = group.members if group and name.startswith("group ") else {name}
                assert members.isdisjoint(present)
                if "piano" in members:  # where someone speaks, there may be no music
                    members = members - {"singing"}
                assert not any(confusable()[NUMBER[m], NUMBER[p]] for m in members for p in present)


def test_some_absent_sounds_are_those_of_other_examples(cache: Cache, bank: Bank):
    asker, rng = Asker(Words(cache), bank.sounds, 6), random.Random(5)
    sounds = np.array([NUMBER["rain"], -1, -1, -1, -1])
    counts = {}
    for elsewhere in ([], [NUMBER["piano"]]):
        asked = [name for _ in range(200) for name, meant in asker.ask(sounds, rng, elsewhere) if not meant]
        counts[len(elsewhere)] = asked.count("piano") / len(asked)
    assert counts[1] > AS_POPULAR * 0.7 > 2 * counts[0]


def test_group_queries_mean_the_sum_of_their_members(cache: Cache, bank: Bank):
    asker, rng = Asker(Words(cache), bank.sounds, 6), random.Random(1)
    sounds = np.array([NUMBER["piano"], NUMBER["drum_kit"], NUMBER["speech_male"], -1, -1])
    seen = dict(pair for _ in range(300) for pair in asker.ask(sounds, rng) if pair[1])
    assert seen["group music"] == [0, 1]
    assert seen["group not speech"] == [0, 1]
    assert seen["group not drums"] == [0, 2]
    assert seen["piano"] == [0]


def test_batches_add_the_gains_of_a_group(cache: Cache, bank: Bank):
    rng = random.Random(3)
    chooser = Chooser(bank, rng)
    examples = [training_example(bank, chooser, rng) for _ in range(4)]
    batch = make_batch(examples, Asker(Words(cache), bank.sounds, 5), rng, 48)
    assert batch.features.shape == (4, 48, 256) and batch.queries.shape == (4, 5, 384)
    assert batch.gains.min() >= 0 and batch.gains.max() <= 1
    assert not batch.gains[batch.asked == 0].any() and not batch.presence[batch.asked == 0].any()
    np.testing.assert_allclose(batch.queries.norm(dim=-1), 1, atol=1e-5)


def test_presence_follows_share_and_level():
    total = torch.ones(1, 1, 4)
    power = torch.tensor([[[0.9, 0.01, 1e-4, 0.0]]])
    assert there(power, total)[0, 0].tolist() == [1.0, 0.5, 0.0, 0.0]
    quiet = torch.tensor([[[1.0, 1e-7]]])
    assert there(quiet, quiet)[0, 0].tolist() == [1.0, 0.0]


def test_levels_move_whole_frames_only():
    mixture = torch.randn(3, 10, 256) * 0.1 - 1
    moved = at_some_level(mixture, random.Random(0))
    difference = moved - mixture
    assert float(difference.std(-1).max()) < 0.02


def test_the_running_level_is_that_of_a_stream():
    power = torch.rand(2, 60, generator=torch.Generator().manual_seed(0)) ** 8
    wanted = 10 * np.log10(RunningLevel(FRAME_RATE).process(power.numpy()))
    np.testing.assert_allclose(running_level_db(power), wanted, atol=1e-3)


def test_alike_is_symmetric_and_music_holds_every_instrument():
    near = alike()
    assert (near == near.T).all() and near.diagonal().all()
    assert all(near[NUMBER["music"], NUMBER[s]] for s in PIECES)
    assert not near[NUMBER["piano"], NUMBER["drum_kit"]]
    assert len(SOUNDS) == len(set(SOUNDS))


def test_a_compact_bank_unpacks_to_the_same_clips(cache: Cache, tmp_path: Path):
    from soundlasso.models.training.compact import pack, unpack

    assert pack(cache, tmp_path / "compact", 45.0) < 45.0
    other = Cache.open(tmp_path / "other")
    unpack(tmp_path / "compact", other)
    before, after = Bank(cache, "train"), Bank(other, "train")
    assert set(after.sounds) == set(before.sounds) and len(after.pieces) == len(before.pieces)
    for take in after.takes:
        same = before.by_sound[take.clip.sound][take.clip.source]
        original = next(t for t in same if t.clip.piece == take.clip.piece)
        a, b = take.read(0, 30000), original.read(0, 30000)
        assert 10 * np.log10(np.mean((a - b) ** 2) / np.mean(b**2)) < -6


def test_only_effects_come_in_any_size():
    assert {"singing", "music", "violin", "drum_kit", "choir", *SPEECH} <= OF_A_SIZE
    assert not {"dog", "car_engine", "rain", "door"} & OF_A_SIZE
