"""The worker's order of commands: what is cancelled is what was meant."""

import io
import json

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
