"""Tests of the trial of a phase residual: examples with phases, networks that turn, how they are measured."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from soundlasso.dsp.bands import N_BANDS, N_SINGLE, band_edges
from soundlasso.dsp.stft import stft
from soundlasso.models.lariat import Lariat, LariatConfig
from soundlasso.models.text import MiniLM
from soundlasso.models.training import phase_trial
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.examples import HOP_SAMPLES, describe
from soundlasso.models.training.lists import Question, TestMixture
from soundlasso.models.training.mix import read_shard
from soundlasso.models.training.phases import (
    STEPS,
    advance,
    describe_phases,
    ideal_gains,
    parts,
    phase_batch,
)
from soundlasso.models.training.queries import Asker, Words, make_batch
from soundlasso.models.training.storage import SAMPLE_RATE, Cache
from soundlasso.models.training.train import step_loss
from soundlasso.models.training.variants import OfMagnitudes, PhaseTurning, Turning, complex_gains
from tests.training_material import make_cache

SMALL = LariatConfig(channels=(4, 4, 4, 4), n_maps=4, bottom=8, n_scans=1, query_hidden=8, presence=True)
ROUNDING = 1e-5
STEADY = 0.02  # of a turn; a tone's mirror image at negative frequencies leaks in at this size


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return make_cache(tmp_path_factory.mktemp("phases"))


def noise(*shape: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_ideal_gains_are_those_of_a_slow_loop():
    source, other = noise(2, 3, 2049)
    mixture = source - 0.9 * other
    found = ideal_gains(source, mixture)
    for t in range(3):
        for band, (lo, hi) in enumerate(itertools.pairwise(band_edges())):
            (wanted,) = np.linalg.lstsq(mixture[t, lo:hi, None], source[t, lo:hi], rcond=None)[0]
            assert found[t, band] == pytest.approx(wanted / max(abs(wanted), 1), abs=ROUNDING)


@pytest.mark.parametrize("place", [20.0, 20.4, 19.7, 40.25])
def test_a_steady_tone_goes_on_by_how_far_it_lies_above_the_band(place: float):
    time = torch.arange(12 * HOP_SAMPLES)
    found = advance(stft(torch.sin(2 * torch.pi * place / (4 * HOP_SAMPLES) * time), HOP_SAMPLES).numpy())
    assert not found[0].any()
    band = round(place)  # the lowest bands are single bins
    assert band < N_SINGLE
    np.testing.assert_allclose(np.abs(found[5:11, band]), 1, atol=ROUNDING)
    np.testing.assert_allclose(np.angle(found[5:11, band]) / (2 * np.pi), (place - band) / 4, atol=STEADY)


def test_a_wide_band_tells_a_tone_from_noise():
    lo, hi = band_edges()[200:202]
    time = torch.arange(12 * HOP_SAMPLES)
    tone = torch.sin(2 * torch.pi * (lo + hi - 1) / 2 / (4 * HOP_SAMPLES) * time)
    hiss = torch.randn(12 * HOP_SAMPLES, generator=torch.Generator().manual_seed(0))
    of_tone, of_hiss = (advance(stft(x, HOP_SAMPLES).numpy())[5:11, 200] for x in (tone, hiss))
    assert np.abs(of_tone - 1).max() < STEADY
    assert np.abs(of_hiss).mean() < 0.6


def test_an_example_holds_magnitudes_advances_and_both_parts_of_gains():
    sources, sounds = noise(2, 6, 2049), ["dog", "rain"]
    found, plain = describe_phases(sources, sounds), describe(sources, sounds)
    mixture = sources.sum(0)
    np.testing.assert_array_equal(found.mixture[:, :N_BANDS], plain.mixture)
    np.testing.assert_allclose(found.mixture[:, N_BANDS:], parts(advance(mixture)), atol=1e-3)
    gains = found.gains[:2] / STEPS
    np.testing.assert_allclose(gains, parts(ideal_gains(sources, mixture)), atol=0.5 / STEPS + ROUNDING)
    assert not found.gains[2:].any()
    np.testing.assert_array_equal(found.powers, plain.powers)


def test_a_batch_asks_as_without_phases(cache: Cache):
    sources = noise(2, 20, 2049)
    examples = [describe_phases(sources, ["dog", "rain"])] * 3
    plain = [describe(sources, ["dog", "rain"])] * 3
    asker = Asker(Words(cache), Bank(cache, "train").sounds, 4)
    torch.manual_seed(0)
    found = phase_batch(examples, asker, random.Random(0), 16)
    torch.manual_seed(0)
    wanted = make_batch(plain, asker, random.Random(0), 16)
    assert found.features.shape == (3, 16, 3 * N_BANDS)
    assert torch.equal(found.features[..., :N_BANDS], wanted.features)
    for name in ("queries", "presence", "asked"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    assert found.gains.shape == (3, 4, 16, 2 * N_BANDS)
    near = found.gains[..., :N_BANDS].clamp(0, 1)  # larger ones lost some of their length
    assert (near <= wanted.gains + 1 / STEPS).all()


def heard() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 9, 3 * N_BANDS, generator=generator) - 1.5
    return features, torch.randn(2, 3, 384, generator=generator)


@torch.no_grad()
def test_a_network_that_does_not_turn_is_the_plain_one():
    torch.manual_seed(0)
    network, (features, queries) = OfMagnitudes(SMALL).eval(), heard()
    plain = Lariat(SMALL).eval()
    plain.load_state_dict(network.state_dict())
    for found, wanted in zip(
        network(features, queries), plain(features[..., :N_BANDS], queries), strict=True
    ):
        assert torch.equal(found, wanted)


@torch.no_grad()
def test_gains_of_a_network_that_turns_come_as_from_the_plain_one():
    torch.manual_seed(0)
    network, (features, queries) = Turning(SMALL).eval(), heard()
    plain = Lariat(SMALL).eval()
    first = {"query_weights.2": SMALL.n_maps, "query_prior.2": N_BANDS}
    plain.load_state_dict(
        {k: v[: first[k.rpartition(".")[0]]] if k.rpartition(".")[0] in first else v
         for k, v in network.state_dict().items()}
    )  # fmt: skip
    (found, presence), (wanted, same) = network(features, queries), plain(features[..., :N_BANDS], queries)
    assert found.shape == (2, 3, 9, 3 * N_BANDS)
    torch.testing.assert_close(found[..., :N_BANDS], wanted, atol=ROUNDING, rtol=0)
    assert torch.equal(presence, same)
    real, imaginary = complex_gains(torch.sigmoid(found)).chunk(2, -1)
    assert (real > 2 * imaginary.abs()).float().mean() > 0.95  # hardly turned at first


@torch.no_grad()
@pytest.mark.parametrize(
    ("network", "hears"), [(OfMagnitudes, False), (Turning, False), (PhaseTurning, True)]
)
def test_only_one_network_hears_phases(network: type[Lariat], hears: bool):
    torch.manual_seed(0)
    features, queries = heard()
    mute = torch.cat([features[..., :N_BANDS], torch.zeros(2, 9, 2 * N_BANDS)], -1)
    made = network(SMALL).eval()
    assert torch.equal(made(features, queries)[0], made(mute, queries)[0]) != hears


def test_complex_gains_have_the_size_of_the_gain_and_the_angle_of_the_direction():
    size, angle = torch.rand(5, N_BANDS), 6.28 * torch.rand(5, N_BANDS)
    direction = torch.cat([torch.cos(angle), torch.sin(angle)], -1)
    found = complex_gains(torch.cat([size, (0.3 * direction + 1) / 2], -1))
    wanted = torch.cat([size, size], -1) * direction
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert torch.equal(complex_gains(size), torch.cat([size, torch.zeros_like(size)], -1))


def test_the_loss_is_least_for_the_right_direction(cache: Cache):
    asker = Asker(Words(cache), Bank(cache, "train").sounds, 4)
    batch = phase_batch([describe_phases(noise(2, 8, 2049), ["dog", "rain"])], asker, random.Random(0), 8)
    real, imaginary = batch.gains.chunk(2, -1)
    size = torch.sqrt(real**2 + imaginary**2).clamp_max(1)
    right = torch.cat([size, (real / (size + 1e-6) + 1) / 2, (imaginary / (size + 1e-6) + 1) / 2], -1)
    wrong = torch.cat([size, (real / (size + 1e-6) + 1) / 2, (-imaginary / (size + 1e-6) + 1) / 2], -1)
    least, unturned, worse = (
        float(phase_trial.complex_loss(x, batch)) for x in (right, real.clamp(0, 1), wrong)
    )
    assert least < 0.05
    assert least < unturned < worse


def test_a_turn_that_can_be_heard_is_learned(cache: Cache):
    """Everything is a quarter turn off, whatever sounds: the trial can show a gain where there is one."""
    asker = Asker(Words(cache), Bank(cache, "train").sounds, 4)
    batch = phase_batch([describe_phases(noise(2, 16, 2049), ["dog", "rain"])], asker, random.Random(0), 16)
    real, _ = batch.gains.chunk(2, -1)
    batch = batch._replace(gains=torch.cat([torch.zeros_like(real), real.clamp(0, 1)], -1))
    reached = []
    for kind in (OfMagnitudes, Turning):
        torch.manual_seed(0)
        network = kind(SMALL)
        optimiser, losses = torch.optim.Adam(network.parameters(), 0.02), []
        for _ in range(60):
            optimiser.zero_grad()
            loss = step_loss(network, batch, phase_trial.complex_loss)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        reached.append(losses[-1])
    assert reached[1] < 0.7 * reached[0]


@pytest.fixture(scope="module")
def mixture() -> TestMixture:
    stems = np.random.default_rng(4).standard_normal((2, SAMPLE_RATE)).astype(np.float32) * 0.05
    questions = (
        Question("a dog", "dog", (0,)),
        Question("rain", "rain", (1,)),
        Question("a bell", "bell", ()),
    )
    return TestMixture("e", stems, questions)


def test_ideal_directions_bring_more_than_ideal_gains(mixture: TestMixture):
    straight, turned = (
        phase_trial.improvements(mixture, phase_trial.best_gains(which, mixture)) for which in (False, True)
    )
    assert straight.shape == turned.shape == (2, 2)
    assert (turned[:, 0] > straight[:, 0] + 0.5).all()
    np.testing.assert_allclose(straight[:, 0], straight[:, 1], atol=1e-3)  # nothing was turned


def test_the_mixture_itself_gains_nothing(mixture: TestMixture):
    n_frames = phase_trial.spectra(mixture.stems[0]).shape[0]
    whole = torch.zeros(2, n_frames, 2 * N_BANDS)
    whole[..., :N_BANDS] = 1
    assert phase_trial.improvements(mixture, whole) == pytest.approx(0, abs=1e-3)


def test_a_network_is_asked_for_all_that_is_there_at_any_level(mixture: TestMixture):
    torch.manual_seed(0)
    network, encoder = PhaseTurning(SMALL).eval(), MiniLM()
    gains = phase_trial.heard_gains(network, encoder, mixture)
    assert gains.shape == phase_trial.best_gains(True, mixture).shape
    louder = replace(mixture, stems=4 * mixture.stems)
    again = phase_trial.heard_gains(network, encoder, louder)
    torch.testing.assert_close(again, gains, atol=ROUNDING, rtol=0)


def test_trials_and_ceilings_are_made_once(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(phase_trial, "TRIALS", {"a phase residual": phase_trial.TRIALS["a phase residual"]})
    for name, few in (("N_MIXTURES", 2), ("SHARD_EXAMPLES", 6)):
        monkeypatch.setattr(phase_trial, name, few)
    asked = ["--cache", str(cache.root), "--minutes", "0.01", "--shards", "2"]
    phase_trial.main(asked)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[-3:]]
    assert [row[0] for row in rows] == ["| a phase residual", "| ideal gains", "| ideal gains and directions"]
    assert int(float(rows[0][1])) >= 1
    assert float(rows[2][2]) >= float(rows[1][2]) > 3
    made = sorted(cache.room("shards/phases").glob("*.npz"))
    assert [path.stem for path in made] == ["00000000", "00000001"]
    first = read_shard(made[0])
    assert first.mixture.shape == (6, 128, 3 * N_BANDS)
    made[0].unlink()
    kept = (cache.root / "runs" / "phase_trial.csv").read_bytes()
    phase_trial.main(asked)
    np.testing.assert_array_equal(read_shard(made[0]).gains, first.gains)
    assert (cache.root / "runs" / "phase_trial.csv").read_bytes() == kept
