"""What happens is told as JSON lines, each at once."""

import itertools
import json
import os
import time
from pathlib import Path

import pytest

from soundlasso.bridge.events import Event, EventLog, Pace
from soundlasso.dsp.errors import SoundlassoError


def test_a_line_has_only_the_fields_that_apply() -> None:
    line = Event("stem", "a\nü.wav", query="drums", path="x.wav").to_json()
    assert "\n" not in line
    assert json.loads(line) == {"event": "stem", "mix": "a\nü.wav", "query": "drums", "path": "x.wav"}


def test_lines_are_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(str(path)) as log:
        log(Event("stage", "a.wav", stage="read"))
        assert json.loads(path.read_text(encoding="utf-8")) == {
            "event": "stage",
            "mix": "a.wav",
            "stage": "read",
        }


def test_progress_is_thinned_but_its_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(str(path)) as log:
        for percent in range(1, 101):
            log(Event("progress", "a.wav", fraction=percent / 100))
    fractions = [json.loads(line)["fraction"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert fractions[0] == 0.01
    assert fractions[-1] == 1
    assert len(fractions) < 50


def test_a_descriptor_can_be_followed() -> None:
    reading, writing = os.pipe()
    with EventLog(f"fd:{writing}") as log:
        log(Event("done", "a.wav"))
    with os.fdopen(reading) as file:
        assert json.loads(file.read()) == {"event": "done", "mix": "a.wav"}


def test_a_reader_that_leaves_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with EventLog(f"fd:{writing}") as log:
        log(Event("done", "a.wav"))
        log(Event("done", "b.wav"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a disk that is always full")
def test_a_full_disk_is_told_once() -> None:
    with EventLog("/dev/full") as log:
        with pytest.raises(SoundlassoError, match="cannot write events to '/dev/full': No space left"):
            log(Event("done", "a.wav"))
        log(Event("done", "b.wav"))


def test_a_path_that_is_no_utf8_is_read_back(tmp_path: Path) -> None:
    with EventLog(str(tmp_path / "events.jsonl")) as log:
        log(Event("done", "caf\udce9.wav"))
    assert json.loads((tmp_path / "events.jsonl").read_bytes())["mix"] == "caf\udce9.wav"


@pytest.mark.parametrize(
    "target", ["missing/folder/events.jsonl", "fd:999999", "fd:99999999999999", "nul\0", ""]
)
def test_a_target_that_cannot_be_written_is_an_error(target: str) -> None:
    with pytest.raises(SoundlassoError, match="cannot write events"):
        EventLog(target)


def test_pace_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = itertools.chain([1000.0], itertools.repeat(1010.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock_s))
    event = Pace(seconds=100).event("a.wav", 0.25)  # a quarter in 10 s
    assert (event.seconds_left, event.realtime_factor) == (30.0, 0.4)
