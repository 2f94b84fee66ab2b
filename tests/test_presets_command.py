"""`soundlasso presets new`: what is copied, and what the copy hides."""

from pathlib import Path

import pytest

from soundlasso.bridge.cli import main
from soundlasso.bridge.presets import library


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(library.CONFIG_VARIABLE, str(tmp_path / "config"))
    return tmp_path / "config" / "presets"


def new(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["presets", "new", *arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def same(name: str, shipped: str) -> bool:
    copied, source = library.user_folder() / f"{name}.toml", library.shipped_folder() / f"{shipped}.toml"
    return library.load_preset(copied).stems == library.load_preset(source).stems


def test_a_new_preset_of_a_shipped_name_is_its_copy_and_says_that_it_hides_it(
    capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    code, out, err = new(capsys, "podcast")
    assert (code, out) == (0, f"{own_folder / 'podcast.toml'}\n")
    assert err == "soundlasso: your preset 'podcast' hides the one that ships\n"
    assert same("podcast", "podcast")


def test_a_new_name_begins_with_the_template_or_with_what_is_named(
    capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    assert new(capsys, "mine") == (0, f"{own_folder / 'mine.toml'}\n", "")
    assert same("mine", "one-sound")
    assert new(capsys, "band", "--from", "drums-out")[0] == 0
    assert same("band", "drums-out")
