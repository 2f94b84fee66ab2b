"""The preset that the README shows is one."""

import re
from pathlib import Path

from soundlasso.bridge.presets.library import shipped_folder
from soundlasso.bridge.presets.reading import parse_preset

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_preset_in_the_readme_can_be_read() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, flags=re.S)
    preset = parse_preset(text)
    assert [stem.name for stem in preset.stems] == ["drums", "dog"]
    assert preset.stems[0].chain[1].kind == "plugin"


def test_the_readme_names_every_shipped_preset() -> None:
    section = README.partition("## Presets\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z-]+)` \|", section, flags=re.M))
    assert named == {path.stem for path in shipped_folder().glob("*.toml")}
