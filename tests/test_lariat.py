"""The network: folded equals trained form, steps equal the whole, gradients equal autograd's."""

import dataclasses

import pytest
import torch

from soundlasso.dsp.bands import N_BINS, BandMap, band_edges
from soundlasso.models.lariat import Lariat, LariatConfig, LariatStep, Scan, State, build

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
def pair(request: pytest.FixtureRequest) -> tuple[Lariat, LariatStep]:
    lariat = network(request.param)
    return lariat, LariatStep(lariat)


FEATURES = torch.randn(2, 40, 256, generator=torch.Generator().manual_seed(1)) - 1.5
QUERIES = torch.nn.functional.normalize(
    torch.randn(3, 384, generator=torch.Generator().manual_seed(2)), dim=-1
)


def test_folded_equals_the_trained_form(pair: tuple[Lariat, LariatStep]) -> None:
    trained, folded = pair
    with torch.no_grad():
        logits, presence = trained(FEATURES, QUERIES.expand(2, -1, -1))
    heard, _ = folded.step(FEATURES, None)
    query = folded.ask(QUERIES)
    assert torch.all((folded.gain(heard, query).transpose(0, 1) - logits.sigmoid()).abs() <= ROUNDING)
    there = folded.presence(heard, query)
    assert (there is None) == (presence is None) == (not trained.config.presence)
    if presence is not None and there is not None:
        assert torch.all((there.transpose(0, 1) - presence.sigmoid()).abs() <= ROUNDING)


@pytest.mark.parametrize("size", [1, 2, 3, 17])
def test_steps_equal_the_whole(pair: tuple[Lariat, LariatStep], size: int) -> None:
    _, folded = pair
    whole, _ = folded.step(FEATURES, None)
    state: State | None = None
    maps, bottoms = [], []
    for part in torch.split(FEATURES, size, 1):
        heard, state = folded.step(part, state)
        maps.append(heard.maps)
        bottoms.append(heard.bottom)
    assert torch.all((torch.cat(maps, 1) - whole.maps).abs() <= ROUNDING * whole.maps.abs().max())
    assert torch.all((torch.cat(bottoms, 1) - whole.bottom).abs() <= ROUNDING * whole.bottom.abs().max())


def test_the_future_changes_nothing(pair: tuple[Lariat, LariatStep]) -> None:
    _, folded = pair
    other = FEATURES.clone()
    other[:, 20:] += 1
    ours, theirs = folded.step(FEATURES, None)[0].maps, folded.step(other, None)[0].maps
    assert torch.all((ours[:, :20] - theirs[:, :20]).abs() <= ROUNDING * ours.abs().max())
    assert not torch.allclose(ours[:, 20], theirs[:, 20])


def test_configuration_is_read_off_the_tensors(pair: tuple[Lariat, LariatStep]) -> None:
    trained, folded = pair
    assert LariatConfig.of(trained.state_dict()) == trained.config
    rebuilt = LariatStep(build(trained.state_dict()))
    assert torch.equal(rebuilt.step(FEATURES, None)[0].maps, folded.step(FEATURES, None)[0].maps)


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


def test_a_gain_lands_on_its_own_band() -> None:
    bands = BandMap(N_BINS)
    edges = band_edges()
    for band in (0, 30, 52, 53, 120, 255):
        gains = torch.zeros(256)
        gains[band] = 1
        reached = bands.gains_to_bins(gains).nonzero().flatten()
        assert reached.min() >= edges[max(band - 1, 0)] and reached.max() < edges[min(band + 2, 256)]
        assert bands.gains_to_bins(gains)[edges[band] : edges[band + 1]].max() > 0.45
