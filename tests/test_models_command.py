"""`soundlasso models` about the model that ships."""

import pytest

from soundlasso.bridge.cli import main
from soundlasso.models.text import MiniLM


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["models", *arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_the_sounds_that_lariat_knows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "sounds: soundlasso models show lariat --sounds\n" in run(capsys, "show", "lariat")[1]
    code, out, _ = run(capsys, "show", "lariat", "--sounds")
    sounds = out.splitlines()
    assert code == 0 and {"drums", "a dog barking", "a person talking"} <= set(sounds)
    assert MiniLM().encode(sounds).shape == (len(sounds), MiniLM.size)


def test_a_model_that_takes_any_wording_has_no_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "show", "audiosep", "--sounds")
    assert (code, err) == (1, "soundlasso: no list of sounds for 'audiosep'; only lariat has one\n")


@pytest.mark.parametrize(
    ("command", "why"), [("get", "it need not be fetched"), ("remove", "it cannot be removed")]
)
def test_the_model_that_ships_is_neither_fetched_nor_removed(
    capsys: pytest.CaptureFixture[str], command: str, why: str
) -> None:
    code, out, err = run(capsys, command, "lariat")
    assert (code, out, err) == (1, "", f"soundlasso: 'lariat' ships with soundlasso: {why}\n")
