"""Tests of learning: optimisers, losses, the state of a run, and whole runs on a tiny cache."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from soundlasso.dsp.metrics import si_sdr
from soundlasso.models.checkpoint import load_safetensors
from soundlasso.models.lariat import Lariat, LariatConfig, build
from soundlasso.models.training import train
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.course import open_course
from soundlasso.models.training.loss import FLOOR, gain_loss, likeness, presence_loss
from soundlasso.models.training.mix import make_shard
from soundlasso.models.training.optimisers import Average, Muon, make_optimisers, orthogonal
from soundlasso.models.training.queries import Asker, Batch, Words
from soundlasso.models.training.storage import Cache
from tests.training_material import make_cache

SMALL = LariatConfig(channels=(4, 4, 4, 4), n_maps=4, bottom=8, n_scans=1, query_hidden=8, presence=True)
SIZES = [
    "--channels",
    "4",
    "4",
    "4",
    "4",
    "--n-maps",
    "4",
    "--bottom",
    "8",
    "--n-scans",
    "1",
    "--query-hidden",
    "8",
]
SINGULAR = (0.65, 1.25)  # Muon's five steps bring singular values this near to one
ROUNDING = 1e-6
SHORT_STEP = 0.05  # 8 bits of mantissa, through five squarings


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    cache = make_cache(tmp_path_factory.mktemp("training"))
    make_shard(cache, "train", 12)
    make_shard(cache, "valid", 8)
    return cache


def a_batch(seed: int = 0, n_frames: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    asked = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    gains = torch.rand(2, 3, n_frames, 256, generator=generator) * asked[..., None, None]
    presence = asked[..., None].expand(2, 3, n_frames)
    features = -1.5 + 0.3 * torch.randn(2, n_frames, 256, generator=generator)
    queries = torch.nn.functional.normalize(torch.randn(2, 3, 384, generator=generator), dim=-1)
    return Batch(features, queries, gains, presence, asked)


@pytest.mark.parametrize("shape", [(8, 8), (16, 40), (40, 16), (4, 36)])
def test_muon_makes_steps_orthogonal(shape: tuple[int, int]):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    step = orthogonal(matrix)
    moved = torch.diagonal(left.T @ step @ right.T)
    kept = values > 0.05 * values.max()
    assert SINGULAR[0] < moved[kept].min() and moved.max() < SINGULAR[1]


@pytest.mark.parametrize("short", [False, True])
def test_muon_goes_downhill(short: bool):
    weight = torch.nn.Parameter(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))
    optimiser = Muon([weight], lr=0.15, short=short)
    before = float((weight.detach() ** 2).sum())
    for _ in range(50):
        optimiser.zero_grad()
        (weight**2).sum().backward()
        optimiser.step()
    assert float((weight.detach() ** 2).sum()) < 0.1 * before


def test_short_steps_are_orthogonal_to_within_16_bits():
    moved = []
    for short in (False, True):
        weight = torch.nn.Parameter(torch.zeros(128, 384))
        weight.grad = torch.randn(128, 384, generator=torch.Generator().manual_seed(2))
        Muon([weight], lr=1.0, weight_decay=0, short=short).step()
        moved.append(weight.detach())
    apart = float((moved[0] - moved[1]).norm() / moved[0].norm())
    assert 0 < apart < SHORT_STEP


def test_gradients_stay_channels_last_on_their_way_down():
    """In any other layout batch norm, ReLU and the maps take several times as long."""
    network = Lariat(SMALL).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kept: dict[str, bool] = {}

    def watch(name: str, out: torch.Tensor) -> None:
        out.register_hook(
            lambda grad: kept.update({name: grad.is_contiguous(memory_format=torch.channels_last)})
        )

    def hook(name: str) -> Callable[[torch.nn.Module, object, torch.Tensor], None]:
        return lambda _module, _inputs, out: watch(name, out)

    for name, module in network.named_modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.Conv2d)):
            module.register_forward_hook(hook(name))
    listen = network.listen

    def watched(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps, bottom = listen(features)
        maps.register_hook(lambda grad: kept.update({"maps": grad.is_contiguous()}))  # (B, T, F, D)
        return maps, bottom

    network.listen = watched  # type: ignore[method-assign]
    train.step_loss(network, a_batch()).backward()
    assert len(kept) > 20 and all(kept.values()), [name for name, well in kept.items() if not well]


def test_every_weight_has_one_optimiser():
    network = Lariat(SMALL)
    shared = [p for o in make_optimisers(network) for g in o.param_groups for p in g["params"]]
    assert len(shared) == len({id(p) for p in shared}) == len(list(network.parameters()))


def test_the_average_forgets_the_start_and_follows_the_network():
    network = torch.nn.Linear(2, 2)
    average = Average(network, decay=0.9)
    with torch.no_grad():
        network.weight.fill_(3.0)
    for _ in range(200):
        average.update(network)
    assert torch.allclose(average.network.weight, network.weight, atol=ROUNDING)


def test_ideal_gains_lose_nothing_and_worse_gains_lose_more():
    batch = a_batch()
    assert gain_loss(batch.gains, batch) == 0
    small, large = (gain_loss((batch.gains + d).clamp(0, 1), batch) for d in (0.05, 0.3))
    assert 0 < small < large


def a_batch_of_targets() -> Batch:
    batch = a_batch()
    gains = torch.rand(batch.gains.shape, generator=torch.Generator().manual_seed(2))
    return batch._replace(gains=gains, asked=torch.ones(2, 3))


@pytest.mark.parametrize("error", [0.1, 0.4])
def test_an_error_counts_by_its_decibels_whether_large_or_small(error: float):
    batch = a_batch_of_targets()
    losses = [float(gain_loss(batch.gains * (1 - share), batch)) for share in (error, 2 * error)]
    wanted = np.log((FLOOR + (2 * error) ** 2) / (FLOOR + error**2)) / 2
    assert losses[1] - losses[0] == pytest.approx(wanted, abs=5e-3)  # TINY beside the targets' sizes


def test_quiet_targets_count_as_much_as_loud_ones():
    batch = a_batch_of_targets()
    quiet = batch._replace(gains=batch.gains * 0.5)
    halved = float(gain_loss(batch.gains * 0.5, batch))
    assert float(gain_loss(quiet.gains * 0.5, quiet)) == pytest.approx(halved, rel=0.05)


def test_a_target_that_rests_in_these_frames_counts_as_one_that_is_not_there():
    batch = a_batch_of_targets()
    batch = batch._replace(gains=torch.zeros_like(batch.gains))
    answer = torch.full_like(batch.gains, 0.3)
    absent = gain_loss(answer, batch._replace(asked=torch.zeros(2, 3)))
    assert gain_loss(answer, batch) == pytest.approx(float(absent), abs=ROUNDING)


def test_a_likeness_is_the_cosine_of_the_stems_at_any_level():
    batch = a_batch_of_targets()
    gains = torch.rand(batch.gains.shape, generator=torch.Generator().manual_seed(4))
    found = likeness(gains, batch)
    magnitude = 10 ** batch.features.double().numpy()
    for b, q in np.ndindex(found.shape):
        stem, target = (magnitude[b] * x[b, q].double().numpy() for x in (gains, batch.gains))
        cosine = np.sum(stem * target) / np.linalg.norm(stem) / np.linalg.norm(target)
        assert float(found[b, q]) == pytest.approx(cosine**2, abs=1e-4)
        wanted_db = si_sdr(target.ravel(), stem.ravel())
        assert float(train.si_db(gains, batch)[b, q]) == pytest.approx(wanted_db, abs=0.01)
    torch.testing.assert_close(likeness(0.01 * gains, batch), found, rtol=1e-3, atol=1e-4)


def test_what_is_too_quiet_costs_less_than_what_is_something_else():
    batch = a_batch_of_targets()
    other = torch.rand(batch.gains.shape, generator=torch.Generator().manual_seed(5)) * (batch.gains < 0.2)
    losses = [float(gain_loss(0.05 * gains, batch, shape_weight=1.0)) for gains in (batch.gains, other)]
    without = [float(gain_loss(0.05 * gains, batch, shape_weight=0.0)) for gains in (batch.gains, other)]
    assert losses[1] - losses[0] > without[1] - without[0] + 1


def test_presence_loss_is_the_cross_entropy():
    batch = a_batch()
    logits = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(3))
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    y = batch.presence.double().numpy()
    wanted = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert abs(float(presence_loss(logits, batch)) - wanted) < ROUNDING


def test_steps_make_the_loss_smaller(tmp_path: Path):
    torch.manual_seed(0)
    course = open_course(tmp_path, SMALL, None, 0.9)
    batch = a_batch()
    losses = []
    for _ in range(30):
        course.network.train()
        course.set_rate(0.02)
        course.step += 50  # past the warm-up
        loss = train.step_loss(course.network, batch)
        course.learn(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def _learn(folder: Path, stops: tuple[int, ...]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    for stop in stops:
        course = open_course(folder, SMALL, None, 0.9)
        while course.step < stop:
            course.network.train()
            course.set_rate(0.01)
            course.learn(train.step_loss(course.network, a_batch(course.step)))
        course.save()
    return load_safetensors(next(folder.glob("newest-*.safetensors")))


def test_a_resumed_run_learns_what_an_unbroken_one_learns(tmp_path: Path):
    whole, broken = _learn(tmp_path / "whole", (6,)), _learn(tmp_path / "broken", (2, 3, 6))
    for name, value in whole.items():
        torch.testing.assert_close(broken[name], value, rtol=0, atol=ROUNDING)


def test_a_run_can_begin_from_weights_without_presence(tmp_path: Path):
    from soundlasso.models.checkpoint import save_safetensors

    plain = Lariat(LariatConfig(**{**SMALL.__dict__, "presence": False}))
    path = save_safetensors(plain.state_dict(), tmp_path, "plain")
    course = open_course(tmp_path / "run", SMALL, path, 0.9)
    assert torch.equal(course.network.squeeze.weight, plain.squeeze.weight)
    with pytest.raises(ValueError, match="keeps its levels"):
        open_course(tmp_path / "other", LariatConfig(presence=True), path, 0.9)


def test_a_whole_run_keeps_weights_that_load_and_a_curve(cache: Cache):
    arguments = [
        "tiny",
        "--cache",
        str(cache.root),
        "--minutes",
        "0.03",
        "--batch",
        "2",
        "--frames",
        "32",
        "--threads",
        "1",
    ]
    train.main([*arguments, *SIZES])
    run = cache.root / "runs" / "tiny"
    curve = (run / "curve.csv").read_text().splitlines()
    assert curve[0].startswith("step,minutes,at,training_loss,valid_loss") and len(curve) == 3
    first = torch.load(run / "state.pt", weights_only=True)["step"]
    assert first > 0
    network = build(load_safetensors(next(run.glob("newest-*.safetensors"))))
    assert network.config == SMALL
    train.main([*arguments, *SIZES])
    assert torch.load(run / "state.pt", weights_only=True)["step"] > first
    assert len(list(run.glob("newest-*.safetensors"))) == 1


def test_a_cooled_run_leaves_the_state_alone(cache: Cache):
    arguments = [
        "tiny2",
        "--cache",
        str(cache.root),
        "--minutes",
        "0.01",
        "--batch",
        "2",
        "--frames",
        "32",
        *SIZES,
    ]
    train.main([*arguments, "--threads", "1"])
    run = cache.root / "runs" / "tiny2"
    before = (run / "state.pt").read_bytes()
    train.main([*arguments, "--threads", "1", "--cool"])
    assert (run / "state.pt").read_bytes() == before
    assert len(list(run.glob("cooled-*.safetensors"))) == 1


def test_validation_draws_the_same_batches_every_time(cache: Cache):
    from soundlasso.models.training.mix import read_shard, shard_paths

    asker = Asker(Words(cache), Bank(cache, "train").sounds, 4)
    shard = read_shard(shard_paths(cache, "valid")[0])
    first, second = (train.fixed_batches(shard, asker, 8) for _ in range(2))
    assert all(
        torch.equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True)
    )


def test_training_without_shards_says_what_to_run(tmp_path: Path):
    cache = make_cache(tmp_path)
    pool = train.Pool(cache, "train", Asker(Words(cache), Bank(cache, "train").sounds, 4), 0)
    with pytest.raises(FileNotFoundError, match="run the mix step"):
        pool.draw(2, 32)


def test_every_batch_of_a_pool_differs(cache: Cache):
    pool = train.Pool(cache, "train", Asker(Words(cache), Bank(cache, "train").sounds, 4), 0)
    assert not torch.equal(pool.draw(2, 32).features, pool.draw(2, 32).features)
