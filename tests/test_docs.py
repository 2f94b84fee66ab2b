"""What the docstrings and the README show works."""

import doctest
import importlib
import re
import tomllib
from pathlib import Path

import pytest

import soundlasso

ROOT = Path(__file__).parent.parent
SHOWN = ["soundlasso.bridge.export.notebook", "soundlasso.models.offline", "soundlasso.models.stream"]


@pytest.mark.parametrize("name", SHOWN)
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0 and result.failed == 0


def test_the_readme_has_its_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = dict(re.findall(r"<!-- command: (\w+) -->\s*```sh\n(.*?)```", readme, flags=re.S))
    assert set(commands) == {"first", "test"}
    assert "soundlasso render examples/demo.flac" in commands["first"]
    assert "pytest" in commands["test"]


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == soundlasso.__version__


def test_every_dependency_has_a_tested_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(d for extra in project["optional-dependencies"].values() for d in extra),
    ]
    names = {re.split(r"[\[<>=~! ]", entry)[0].lower().replace("_", "-") for entry in wanted}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert names <= pinned, names - pinned
