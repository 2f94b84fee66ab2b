"""The worker's order of commands: what is cancelled is what was meant."""

import io
import json
import threading
from pathlib import Path

import pytest

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.worker import Worker


def obeyed(*commands: tuple[str, str]) -> Worker:
    worker = Worker("lariat", "cpu", io.StringIO())
    for do, job in commands:
        worker._obey(json.loads(json.dumps({"do": do, "job": job})))
    return worker


def test_a_cancel_reaches_the_job_that_waits() -> None:
    worker = obeyed(("render", "a"), ("render", "b"), ("cancel", "b"))
    assert [worker._cancels[job].is_set() for job in "ab"] == [False, True]


def test_a_cancel_that_comes_too_late_spares_the_next_job_of_that_name() -> None:
    worker = obeyed(("cancel", "j"), ("render", "j"))
    assert not worker._cancels["j"].is_set()


def test_a_name_may_come_again_as_soon_as_its_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "mix.wav").symlink_to(tmp_path / "secret.wav")  # so both end at once
    command = {"do": "render", "job": "j", "path": str(tmp_path / "mix.wav"), "out": str(tmp_path)}

    class Asker(io.StringIO):
        def write(self, text: str) -> int:
            if not self.tell():
                worker._obey(command)
            return super().write(text)

    output = Asker()
    worker = Worker("lariat", "cpu", output)
    worker._obey(command)
    for _ in range(2):
        asked = worker._commands.get_nowait()
        assert asked is not None
        worker._render(asked)
    assert [json.loads(line)["code"] for line in output.getvalue().splitlines()] == ["bad_path"] * 2


def test_a_path_that_has_become_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mix.wav").symlink_to(tmp_path / "secret.wav")
    command = {"job": "j", "path": str(tmp_path / "mix.wav"), "queries": ["a dog"], "out": str(tmp_path)}
    with pytest.raises(OscError, match="has become a link"):
        obeyed()._rendered(command | {"settings": {"avoid": []}}, threading.Event())
