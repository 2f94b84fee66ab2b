"""Tests of growing a network: it answers as before, and what is new can learn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from soundlasso.models.checkpoint import save_safetensors
from soundlasso.models.lariat import Lariat, LariatConfig
from soundlasso.models.training.course import open_course
from soundlasso.models.training.widen import widen

SMALL = LariatConfig(channels=(4, 6, 8, 10), n_maps=5, bottom=12, n_scans=2, query_hidden=8, presence=True)
GROWN = {
    "channels": replace(SMALL, channels=(6, 6, 12, 16)),
    "maps": replace(SMALL, n_maps=9),
    "scans": replace(SMALL, n_scans=4),
    "all": replace(SMALL, channels=(8, 10, 9, 12), n_maps=8, n_scans=3),
}
ROUNDING = 1e-4  # sums in another order
WIDER_BOTTOM = 0.05  # layer norms average over the new numbers too, relative to the answers' spread


def trained(config: LariatConfig) -> Lariat:
    """Return a network with weights and running statistics as training leaves them, none of them zero."""
    torch.manual_seed(0)
    network = Lariat(config)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand_like(value)
    return network.eval()


def grown(network: Lariat, config: LariatConfig) -> Lariat:
    torch.manual_seed(1)
    larger = Lariat(config)
    larger.load_state_dict(widen(network.state_dict(), config))
    return larger.eval()


def heard() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 20, 256, generator=generator) - 1.5, torch.randn(2, 3, 384, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("config", GROWN.values(), ids=GROWN)
def test_a_grown_network_answers_as_before(config: LariatConfig):
    small = trained(SMALL)
    for found, wanted in zip(grown(small, config)(*heard()), small(*heard()), strict=True):
        torch.testing.assert_close(found, wanted, atol=ROUNDING, rtol=ROUNDING)


@torch.no_grad()
def test_a_wider_bottom_answers_nearly_as_before():
    small = trained(SMALL)
    for found, wanted in zip(grown(small, replace(SMALL, bottom=16))(*heard()), small(*heard()), strict=True):
        assert (found - wanted).std() < WIDER_BOTTOM * wanted.std()


def test_what_is_new_learns_at_once():
    """Within two steps: what listens to new units first, and what the units are then."""
    config = replace(GROWN["all"], bottom=16)
    network = grown(trained(SMALL), config).train()
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        logits, presence = network(*heard())
        assert presence is not None
        (logits.square().mean() + presence.square().mean()).backward()
        optimiser.step()
    still = [name for name, value in network.named_parameters() if torch.equal(value, before[name])]
    assert not still


def test_a_run_begins_from_a_smaller_network(tmp_path: Path):
    small = trained(SMALL)
    start = save_safetensors(small.state_dict(), tmp_path, "small")
    course = open_course(tmp_path / "run", GROWN["all"], start, 0.99)
    with torch.no_grad():
        torch.testing.assert_close(
            course.average.network(*heard())[0], small(*heard())[0], atol=ROUNDING, rtol=ROUNDING
        )


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (replace(SMALL, n_maps=4), "only grow"),
        (replace(SMALL, channels=(4, 6, 8, 8)), "only grow"),
        (replace(SMALL, channels=(4, 6, 8)), "keeps its levels"),
        (replace(SMALL, query_hidden=16), "keeps its levels and its query_hidden"),
    ],
)
def test_networks_do_not_shrink(config: LariatConfig, why: str):
    with pytest.raises(ValueError, match=why):
        widen(trained(SMALL).state_dict(), config)


def test_weights_of_another_network_are_refused():
    odd = {**trained(SMALL).state_dict(), "query_bottom.0.weight": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"another network; unknown \['query_bottom"):
        widen(odd, SMALL)
