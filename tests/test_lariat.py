"""The network: folded equals trained form, steps equal the whole, gradients equal autograd's."""

import dataclasses

import numpy as np
import pytest
import torch

from soundlasso.dsp.bands import N_BINS, BandMap, band_edges, sum_by_scatter, sum_segments
from soundlasso.models.engine import Asked
from soundlasso.models.frames import FrameEngine
from soundlasso.models.lariat import Lariat, LariatConfig, Scan, build
from soundlasso.models.lariat_folded import FoldedLariat, Heard, Hearing

ROUNDING = 1e-5  # float32, gains of 0 to 1 through some forty layers
SMALL = LariatConfig(channels=(4, 6), n_maps=5, bottom=16, n_scans=2, query_hidden=8, presence=True)


def network(config: LariatConfig = SMALL) -> Lariat:
    """A network whose batch norms are not trivial."""
    torch.manual_seed(0)
    lariat = Lariat(config)
    with torch.no_grad():
        for _ in range(20):
            lariat(torch.randn(2, 9, 256) * 0.7 - 1.5, torch.randn(2, 3, 384))
    return lariat.eval()


@pytest.fixture(scope="module", params=[SMALL, dataclasses.replace(SMALL, presence=False), LariatConfig()])
def pair(request: pytest.FixtureRequest) -> tuple[Lariat, FoldedLariat]:
    lariat = network(request.param)
    return lariat, FoldedLariat(lariat)


FEATURES = torch.randn(2, 40, 256, generator=torch.Generator().manual_seed(1)) - 1.5
QUERIES = torch.nn.functional.normalize(
    torch.randn(3, 384, generator=torch.Generator().manual_seed(2)), dim=-1
)


def hear(folded: FoldedLariat, features: torch.Tensor) -> Heard:
    return Hearing(folded, len(features)).hear(features)


def test_folded_equals_the_trained_form(pair: tuple[Lariat, FoldedLariat]) -> None:
    trained, folded = pair
    with torch.no_grad():
        logits, presence = trained(FEATURES, QUERIES.expand(2, -1, -1))
    heard = hear(folded, FEATURES)
    query = folded.ask(QUERIES)
    assert torch.all((folded.gain(heard, query).transpose(0, 1) - logits.sigmoid()).abs() <= ROUNDING)
    there = folded.presence(heard, query)
    assert (there is None) == (presence is None) == (not trained.config.presence)
    if presence is not None and there is not None:
        assert torch.all((there.transpose(0, 1) - presence.sigmoid()).abs() <= ROUNDING)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 39])
def test_steps_equal_the_whole(pair: tuple[Lariat, FoldedLariat], size: int) -> None:
    _, folded = pair
    whole = hear(folded, FEATURES)
    hearing = Hearing(folded, len(FEATURES))
    for start in range(0, FEATURES.shape[1], size):
        maps, bottom = hearing.hear(FEATURES[:, start : start + size])
        of_maps, of_bottom = whole.maps[:, start : start + size], whole.bottom[:, start : start + size]
        assert torch.all((maps - of_maps).abs() <= ROUNDING * whole.maps.abs().max())
        assert torch.all((bottom - of_bottom).abs() <= ROUNDING * whole.bottom.abs().max())


def test_two_long_runs_do_not_share_an_answer(pair: tuple[Lariat, FoldedLariat]) -> None:
    _, folded = pair
    features = torch.cat([FEATURES, FEATURES.flip(1)], 1)  # 80 frames: two runs of 32 and one of 16
    maps, bottom = hear(folded, features)
    hearing = Hearing(folded, len(features))
    for start in range(0, 80, 16):
        step = hearing.hear(features[:, start : start + 16])
        assert torch.all((step.maps - maps[:, start : start + 16]).abs() <= ROUNDING * maps.abs().max())
        of_bottom = bottom[:, start : start + 16]
        assert torch.all((step.bottom - of_bottom).abs() <= ROUNDING * bottom.abs().max())


def test_texts_are_taken_to_where_the_network_is() -> None:
    folded = FoldedLariat(
        network().to("meta")
    )  # a device that computes nothing, and refuses the CPU's tensors
    engine = FrameEngine(folded, 44100, 2, "linked")
    engine.ask(Asked(QUERIES, QUERIES[:1], gate=True, consistent=False))
    assert engine.presence.shape == (3,)


def test_a_hearing_that_forgets_is_as_new(pair: tuple[Lariat, FoldedLariat]) -> None:
    _, folded = pair
    hearing = Hearing(folded, len(FEATURES))
    for size in (40, 1, 5):
        hearing.hear(FEATURES[:, :size])
        hearing.reset()
        assert torch.equal(hearing.hear(FEATURES[:, :9]).maps, hear(folded, FEATURES[:, :9]).maps)
        hearing.reset()


def test_the_future_changes_nothing(pair: tuple[Lariat, FoldedLariat]) -> None:
    _, folded = pair
    other = FEATURES.clone()
    other[:, 20:] += 1
    ours, theirs = hear(folded, FEATURES).maps, hear(folded, other).maps
    assert torch.all((ours[:, :20] - theirs[:, :20]).abs() <= ROUNDING * ours.abs().max())
    assert not torch.allclose(ours[:, 20], theirs[:, 20])


def test_configuration_is_read_off_the_tensors(pair: tuple[Lariat, FoldedLariat]) -> None:
    trained, folded = pair
    assert LariatConfig.of(trained.state_dict()) == trained.config
    rebuilt = FoldedLariat(build(trained.state_dict()))
    assert torch.equal(hear(rebuilt, FEATURES).maps, hear(folded, FEATURES).maps)


def test_gradients_of_the_scan_equal_autograds() -> None:
    torch.manual_seed(3)
    scan = Scan(6).double()
    x = torch.randn(7, 2, 6, dtype=torch.float64, requires_grad=True)

    def by_loop(x: torch.Tensor) -> torch.Tensor:
        forget, value, gate = scan.gates(scan.norm(x)).chunk(3, -1)
        keep, h, states = forget.sigmoid(), torch.zeros_like(x[0]), []
        for t in range(len(x)):
            h = keep[t] * h + (1 - keep[t]) * value[t]
            states.append(h)
        out: torch.Tensor = x + scan.out(torch.stack(states) * torch.nn.functional.silu(gate))
        return out

    weights = torch.randn(7, 2, 6, dtype=torch.float64)
    ours = torch.autograd.grad((scan(x) * weights).sum(), [x, *scan.parameters()])
    theirs = torch.autograd.grad((by_loop(x) * weights).sum(), [x, *scan.parameters()])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("n_bins", [373, 1025, N_BINS, 4481])
def test_bands_take_all_power_once_and_a_flat_gain_stays_flat(n_bins: int) -> None:
    bands = BandMap(n_bins)
    power = torch.rand(3, n_bins)
    heard = power[:, : min(n_bins, N_BINS)]
    torch.testing.assert_close(bands.power_to_bands(power).sum(-1), heard.sum(-1))
    assert torch.allclose(bands.gains_to_bins(torch.full((2, 256), 0.3)), torch.tensor(0.3))
    assert bands.gains_to_bins(torch.rand(2, 256)).shape == (2, n_bins)


def test_both_ways_of_summing_bands_agree() -> None:
    rows, widths = torch.rand(3, N_BINS), torch.from_numpy(np.diff(band_edges()))
    by_loop = torch.stack([part.sum(1) for part in rows.split(widths.tolist(), 1)], 1)
    torch.testing.assert_close(sum_segments(rows, widths), by_loop)
    torch.testing.assert_close(sum_by_scatter(rows, widths), by_loop)


def test_a_gain_lands_on_its_own_band() -> None:
    bands = BandMap(N_BINS)
    edges = band_edges()
    for band in (0, 30, 52, 53, 120, 255):
        gains = torch.zeros(256)
        gains[band] = 1
        reached = bands.gains_to_bins(gains).nonzero().flatten()
        assert reached.min() >= edges[max(band - 1, 0)] and reached.max() < edges[min(band + 2, 256)]
        assert bands.gains_to_bins(gains)[edges[band] : edges[band + 1]].max() > 0.45
