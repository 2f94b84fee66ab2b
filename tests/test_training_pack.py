"""Tests of packing: the weights that ship, and the card that says what is in them."""

from pathlib import Path

import pytest
import torch

from soundlasso.models.checkpoint import load_safetensors, save_safetensors
from soundlasso.models.lariat import Lariat, LariatConfig
from soundlasso.models.training import pack
from soundlasso.models.training.recordings import packages
from tests.training_material import make_cache

SMALL = LariatConfig(channels=(4, 4, 4, 4), n_maps=4, bottom=8, n_scans=1, query_hidden=8, presence=True)
CURVE = (
    "step,minutes,valid_loss,valid_gain_db,valid_si_db,seen_gain_db,valid_leak_db\n"
    "0,0.0,1,2,1,3,-4\n90,2.5,0.5,6,5,7,-20\n"
)


def weights(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return Lariat(SMALL).state_dict()


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """Return a cache with a run that has been cooled, sounds to test on, and licences."""
    cache = make_cache(tmp_path / "cache")
    run = cache.room("runs") / "lariat"
    run.mkdir()
    (run / "curve.csv").write_text(CURVE)
    save_safetensors(weights(0), run, "cooled")
    for package in packages():
        (cache.room("licences") / f"{package}.txt").write_text("Files: *\nLicense: CC0-1.0\n")
    return cache.root


def test_what_is_packed_is_the_run_and_the_card_tells_of_it(ready: Path, tmp_path: Path) -> None:
    pack.main(["lariat", str(tmp_path / "out"), "--cache", str(ready), "--stem", "cooled", "--mixtures", "1"])
    (path,) = (tmp_path / "out").glob("lariat-*.safetensors")
    kept = load_safetensors(path)
    assert all(torch.equal(value, weights(0)[name]) for name, value in kept.items())
    assert LariatConfig.of(kept) == SMALL
    card = (tmp_path / "out" / "lariat.md").read_text()
    assert card.startswith(f"# {path.stem}\n")
    for part in ("| a-e |", "| 90 | 2.5 | 0.5 | 6 | 5 | 7 | -20 |", f"- {packages()[0]}: CC0-1.0"):
        assert part in card
    for written in ("limits.md", "story.md"):
        assert (pack.HERE / written).read_text().strip() in card


def test_blended_weights_are_the_mean_of_both(ready: Path, tmp_path: Path) -> None:
    other = save_safetensors(weights(1), tmp_path, "other")
    pack.main(
        ["lariat", str(tmp_path / "out"), "--cache", str(ready), "--stem", "cooled", "--mixtures", "1",
         "--blend", str(other)]
    )  # fmt: skip
    (path,) = (tmp_path / "out").glob("lariat-*.safetensors")
    for name, value in load_safetensors(path).items():
        torch.testing.assert_close(value, (weights(0)[name] + weights(1)[name]) / 2)


def test_a_run_that_was_not_cooled_has_no_cooled_weights(ready: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run 'lariat' has no 'newest' weights; train it first"):
        pack.main(["lariat", str(tmp_path / "out"), "--cache", str(ready)])


def test_trials_are_told_once_there_are_some() -> None:
    row = dict.fromkeys(pack.trials.COLUMNS, "1.5") | {"trial": "as it is"}
    phases = dict.fromkeys(pack.phase_trial.COLUMNS, "2.5") | {"trial": "a phase residual"}
    assert pack.tried([], []) == ""
    assert "## Trials" in pack.tried([row], []) and "| as it is | 1.5 |" in pack.tried([row], [])
    assert "### A phase residual" not in pack.tried([row], [])
    assert pack.tried([row], [phases]).endswith("| a phase residual | 2.5 | 2.5 | 2.5 | 2.5 |\n")
