"""Tests of trials: what each variant of the network changes, and the table that is made once."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from soundlasso.models.lariat import Lariat, LariatConfig
from soundlasso.models.training import trials
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.mix import make_shard
from soundlasso.models.training.queries import Asker, Batch, Words
from soundlasso.models.training.storage import Cache
from soundlasso.models.training.variants import HalfRate, Lookahead, Modulated
from tests.training_material import make_cache

SMALL = LariatConfig(channels=(4, 4, 4, 4), n_maps=4, bottom=8, n_scans=1, query_hidden=8, presence=True)
ROUNDING = 1e-5


def pair(variant: type[Lariat]) -> tuple[Lariat, Lariat]:
    """Return a variant and the plain network, with one set of weights."""
    torch.manual_seed(0)
    varied = variant(SMALL).eval()
    plain = Lariat(SMALL).eval()
    plain.load_state_dict({k: v for k, v in varied.state_dict().items() if "query_bottom" not in k})
    return varied, plain


def heard(n_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, n_frames, 256, generator=generator) - 1.5, torch.randn(
        2, 3, 384, generator=generator
    )


@torch.no_grad()
def test_a_network_that_looks_ahead_answers_two_frames_later():
    ahead, plain = pair(Lookahead)
    features, queries = heard(12)
    for found, wanted in zip(ahead(features, queries), plain(features, queries), strict=True):
        assert found.shape == wanted.shape
        torch.testing.assert_close(found[:, :, :-2], wanted[:, :, 2:], atol=ROUNDING, rtol=0)


@torch.no_grad()
def test_half_the_rate_hears_pairs_as_one_and_answers_twice():
    half, plain = pair(HalfRate)
    features, queries = heard(6)
    features = features.repeat_interleave(2, 1)
    for found, wanted in zip(half(features, queries), plain(features[:, ::2], queries), strict=True):
        torch.testing.assert_close(found, wanted.repeat_interleave(2, 2), atol=ROUNDING, rtol=0)


@torch.no_grad()
def test_queries_that_change_nothing_at_the_bottom_leave_the_network_as_it_is():
    modulated, plain = pair(Modulated)
    features, queries = heard(8)
    changed, presence = modulated(features, queries)
    wanted, same_presence = plain(features, queries)
    assert not torch.allclose(changed, wanted, atol=ROUNDING)
    assert torch.equal(presence, same_presence)
    for name, weight in modulated.named_parameters():
        if name.startswith("query_bottom.2."):
            weight.zero_()
    torch.testing.assert_close(modulated(features, queries)[0], wanted, atol=ROUNDING, rtol=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    cache = make_cache(tmp_path_factory.mktemp("trials"))
    make_shard(cache, "train", 12)
    make_shard(cache, "valid", 8)
    return cache


def test_an_even_pool_draws_rare_classes_as_often_as_common_ones(cache: Cache):
    sounds = np.full((100, 5), -1)
    sounds[:, 0] = [7] * 90 + [8] * 10
    pool = trials.EvenPool(cache, "train", Asker.__new__(Asker), 0)
    drawn = Counter(sounds[pool.pick(sounds), 0].item() for _ in range(2000))
    assert 850 < drawn[7] < 1150


def test_the_absolute_loss_counts_loud_targets_most():
    loud = torch.full((1, 1, 4, 256), 0.8)
    asked = torch.ones(1, 1)
    features = torch.full((1, 4, 256), -1.5)
    losses = []
    for gains in (loud, loud / 8):
        batch = Batch(features, torch.zeros(1, 1, 384), gains, torch.ones(1, 1, 4), asked)
        assert trials.absolute_loss(gains, batch) == 0
        losses.append(float(trials.absolute_loss(gains / 2, batch)))
    assert losses[0] == pytest.approx(64 * losses[1])


def test_every_trial_is_made_once(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked = ["--cache", str(cache.root), "--minutes", "0.01", "--jobs", "2"]
    monkeypatch.setattr(trials, "TRIALS", {name: trials.TRIALS[name] for name in ("as it is", "6 scans")})
    trials.main(asked)
    path: Path = cache.root / "runs" / "trials.csv"
    made = path.read_bytes()
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert [row.split(" | ")[0] for row in rows] == ["| as it is", "| 6 scans"]
    assert all(int(float(row.split(" | ")[1])) >= 1 for row in rows)
    trials.main(asked)
    assert path.read_bytes() == made


def test_the_even_pool_still_makes_whole_batches(cache: Cache):
    pool = trials.EvenPool(cache, "train", Asker(Words(cache), Bank(cache, "train").sounds, 4), 0)
    batch = pool.draw(3, 16)
    assert batch.features.shape == (3, 16, 256) and batch.gains.shape == (3, 4, 16, 256)
