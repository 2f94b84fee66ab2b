"""The REAPER files: the script in plain Lua with a stand-in for REAPER and the real renderer; the patterns
by the rules of REAPER's published source (csurf_osc.cpp).

Stems and rest are compared with the recording (1e-6 of full scale).
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.daw.kits import command, find_kit, install_kit
from soundlasso.bridge.osc.dispatch import Tree
from soundlasso.bridge.osc.table import ROWS

TOLERANCE = 1e-6
Lines = list[list[str]]
RATE_HZ = 44100
RENDER_LIMIT_S = 120.0
HERE = Path(__file__).parent
needs_lua = pytest.mark.skipif(not shutil.which("lua5.3"), reason="lua5.3 is not installed")
AUDIO = (0.1 * np.random.default_rng(12).standard_normal((RATE_HZ * 3, 2))).astype(np.float32)


def play(folder: Path, sounds: str, whole_s: float = 3.0, patience: int = 10**6, program: str = "") -> Lines:
    """Run the script in the stand-in, with another program than soundlasso if one is given.

    Returns what it tells, by line.
    """
    install_kit(find_kit("reaper"), folder / "scripts")
    soundfile.write(folder / "mix.wav", AUDIO, RATE_HZ, subtype="FLOAT")
    script = folder / "scripts" / "soundlasso_separate.lua"
    if program:
        script.write_text(script.read_text().replace(command(), program))
    told = [script, folder / "mix.wav", whole_s, folder / "project", sounds, patience]
    words = ["lua5.3", str(HERE / "daw_reaper.lua"), *map(str, told)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=RENDER_LIMIT_S)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


@needs_lua
def test_stems_come_on_new_tracks_below_the_item_and_add_up_to_it(tmp_path: Path) -> None:
    lines = play(tmp_path, "drums, a dog; $(touch x)")
    used = {line[1] for line in lines if line[0] == "USES"}
    assert used <= set((HERE / "data" / "reaper_api.txt").read_text().split())
    tracks = [line[2:] for line in lines if line[0] == "TRACK"]
    assert [(float(depth), name) for depth, name, *_ in tracks] == [
        (1, ""), (0, ""), (0, "drums"), (0, "a dog; $(touch x)"), (-1, "rest"), (0, "")
    ]  # fmt: skip
    stems = [soundfile.read(track[2], always_2d=True, dtype="float32")[0] for track in tracks[2:5]]
    part = AUDIO[RATE_HZ // 2 : RATE_HZ // 2 + round(0.8 * RATE_HZ)]  # 0.4 s at twice the speed
    np.testing.assert_allclose(sum(stems), part, atol=TOLERANCE)
    for track in tracks[2:5]:
        assert list(map(float, track[3:])) == [3.25, 0.4, 2.0, 0.0]
    assert ["ORIGINAL", "1"] in lines
    assert sorted(path.name for path in (tmp_path / "project" / "soundlasso").iterdir()) == ["mix"]


@needs_lua
@pytest.mark.parametrize(
    ("whole_s", "part"), [(3.0, ["start_s\t0.500000000", "length_s\t0.800000000"]), (1.0, [])]
)
def test_of_an_item_that_loops_the_whole_file_is_asked_for(
    tmp_path: Path, whole_s: float, part: list[str]
) -> None:
    kept = tmp_path / "kept"
    play(tmp_path, "drums, a dog", whole_s, patience=1, program=f"sh -c 'cp \\\"$2\\\" {kept}'")
    out = tmp_path / "project" / "soundlasso"
    expected = [f"path\t{tmp_path / 'mix.wav'}", f"out\t{out}", *part, "query\tdrums", "query\ta dog"]
    assert kept.read_text().splitlines() == expected


@needs_lua
@pytest.mark.parametrize(("sounds", "patience"), [(" , ", 10**6), ("drums", 0)])
def test_nothing_asked_or_closing_the_window_leaves_the_project_alone(
    tmp_path: Path, sounds: str, patience: int
) -> None:
    lines = play(tmp_path, sounds, patience=patience)
    assert len([line for line in lines if line[0] == "TRACK"]) == 3
    assert ["ORIGINAL", "0"] in lines
    assert not list(tmp_path.rglob("*.request"))


@needs_lua
def test_a_failure_is_shown(tmp_path: Path) -> None:
    lines = play(tmp_path, "drums, drums")
    (shown,) = [line[1] for line in lines if line[0] == "MB"]
    assert "the query 'drums' is given twice" in shown
    assert ["ORIGINAL", "0"] in lines
    assert list((tmp_path / "project" / "soundlasso").iterdir()) == []


def test_the_pattern_file_keeps_to_reapers_rules_and_names_our_addresses(tmp_path: Path) -> None:
    install_kit(find_kit("reaper"), tmp_path)
    tree = Tree(ROWS, list)
    flags = {"s": "s", "f": "f", "b": "i", "t": ""}
    for line in (tmp_path / "soundlasso.ReaperOSC").read_text().splitlines():
        key, *patterns = line.split() or ["#"]
        if key.startswith("#"):
            continue
        assert key in KEYS
        if key.startswith(("DEVICE_", "REAPER_")):
            assert patterns[0].isdigit() or patterns[0] in (
                "REAPER",
                "DEVICE",
                "LAST_TOUCHED",
                "FOCUSED",
                "MIXER",
            )
            continue
        for pattern in patterns:
            assert len(pattern) <= 512
            (place,) = tree.find(pattern[1:].replace("@", "8"))
            assert place.row.tags in (flags[pattern[0]], "*"), pattern  # what a DAW tells may be anything


# Of the keys that REAPER knows, those of tracks, regions and transport.
KEYS = frozenset(
    "PLAY STOP TIME LAST_REGION_NAME TRACK_NAME TRACK_VOLUME TRACK_MUTE TRACK_SOLO "
    "DEVICE_TRACK_COUNT DEVICE_SEND_COUNT "
    "DEVICE_RECEIVE_COUNT DEVICE_FX_COUNT DEVICE_FX_PARAM_COUNT DEVICE_FX_INST_PARAM_COUNT "
    "REAPER_TRACK_FOLLOWS DEVICE_TRACK_FOLLOWS DEVICE_TRACK_BANK_FOLLOWS".split()
)
