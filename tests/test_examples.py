"""The examples, and what the README shows of boards, do what they say; scripts tell how to call them."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.board_helpers import noise
from tests.jack_server import Server

RATE = 22_050
EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    tone = 0.3 * np.sin(2 * np.pi * 440 / RATE * np.arange(2 * RATE))
    soundfile.write(path, (noise(2, 2 * RATE) / 4 + tone).T, RATE, "PCM_16")
    return path


@pytest.mark.parametrize(
    ("name", "seconds"), [("vocal_down", 2), ("podcast_chain", 2), ("drum_reverb", 5), ("remix", 2)]
)
def test_a_script_writes_the_whole_song(name: str, seconds: int, song: Path) -> None:
    result = song.with_name("result.wav")
    load(name)["main"](str(song), str(result))
    audio, rate = soundfile.read(result)
    assert (audio.shape, rate) == ((seconds * RATE, 2), RATE)
    assert np.isfinite(audio).all() and np.abs(audio).max() > 0.01


def run(name: str, *words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **more)


@pytest.mark.parametrize("name", ["vocal_down", "podcast_chain", "drum_reverb", "remix"])
def test_a_script_says_what_it_lacks_in_a_line(name: str, tmp_path: Path) -> None:
    without = run(name)
    assert without.returncode == 1 and f"python {name}.py" in without.stderr
    wrong = run(name, str(tmp_path / "none.wav"), str(tmp_path / "out.wav"))
    assert wrong.returncode == 1 and "none.wav" in wrong.stderr
    assert "Traceback" not in without.stderr + wrong.stderr and wrong.stderr.count("\n") == 1


def test_practice_without_a_server_says_so_in_a_line() -> None:
    pytest.importorskip("jack", exc_type=ImportError)
    told = run("live_practice", env={**os.environ, "JACK_DEFAULT_SERVER": "soundlasso-none"})
    (line,) = [line for line in told.stderr.splitlines() if "cannot reach" in line]
    assert told.returncode == 1 and "Traceback" not in told.stderr
    assert line == "cannot reach the default JACK server; start it, or play through a sound card"


@pytest.mark.parametrize("name", ["board", "live", "stream"])
def test_a_benchmark_tells_its_options_and_what_is_usual(name: str) -> None:
    command = [sys.executable, str(EXAMPLES.parent / "benchmarks" / f"{name}.py"), "--help"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "usage: " in told and "(default: " in told


def test_boards_in_the_readme_run_as_written(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    section = readme.split("## As an effect")[1].split("\n## ")[0]
    shown = re.findall(r"```python\n(.*?)```", section, flags=re.S)
    monkeypatch.chdir(song.parent)
    names: dict[str, Any] = {}
    for block in shown:
        exec(compile(block, "README.md", "exec"), names)
    assert len(shown) == 2 and names["wide"].shape == (2, 44_100)
    for written in ("guitar.wav", "remix.wav"):
        assert soundfile.info(written).frames == 2 * RATE


def test_practice_takes_out_one_sound_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jack", exc_type=ImportError)
    if shutil.which("jackd") is None:
        pytest.skip("jackd is not installed")
    server = Server(tmp_path)
    try:
        load("live_practice")["practice"](["drums\n", "a voice\n", "\n", "never\n"], server.name)
    finally:
        server.stop()
    told = capsys.readouterr().out
    assert "ms late; without electric guitar" in told
    assert "without drums" in told and "without a voice" in told and "never" not in told
