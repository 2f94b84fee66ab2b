"""A render over OSC from the first word to the stems on disk, with the worker that really renders.

The stems and the rest must add up to the mix; that they are the right ones is for the tests of `render`.
"""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.osc import timeline
from soundlasso.bridge.osc.timeline import Planned, changes_of
from soundlasso.models.stream import SeparationStream
from tests.osc_help import Ear, Running, running

RATE_HZ = 44100
NULL_LIMIT_DB = -120.0  # stems + rest against the mix, as float files
READY_LIMIT_S = 120.0  # libraries load slowly on a busy machine
PING_P99_LIMIT_S = 0.05
NUMBERS = itertools.count(900)  # of /lasso/do, each a new one


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    noise = 0.1 * np.random.default_rng(3).standard_normal((RATE_HZ * 2, 2))
    soundfile.write(root / "short.wav", noise, RATE_HZ, subtype="FLOAT")
    soundfile.write(root / "long.wav", np.tile(noise, (60, 1)), RATE_HZ, subtype="FLOAT")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Running]:
    with running(root=root, preload=True) as made:
        yield made


@pytest.fixture
def ear(server: Running) -> Iterator[Ear]:
    with Ear(server.port) as made:
        made.ask("/lasso/notify", 1, 0, 2, answer="/lasso/done")
        yield made
        made.ask("/lasso/notify", 0, answer="/lasso/done")


def test_a_render_ends_with_stems_that_null(ear: Ear, root: Path) -> None:
    ear.send("/lasso/render", "short.wav", "solo violin", "first")
    assert ear.wait("/lasso/job/state") == ("first", "queued")
    assert ear.wait("/lasso/job/state", READY_LIMIT_S) == ("first", "running")
    address, job, stems, seconds, null_db = ear.wait("/lasso/done", READY_LIMIT_S)
    assert (address, job, stems, seconds) == ("/lasso/render", "first", 2, 2.0)
    assert null_db < NULL_LIMIT_DB
    told = [m.args for m in ear.heard if m.address == "/lasso/job/stem"]
    assert [(slot, query) for _, slot, query, _, _ in told] == [(1, "solo violin"), (0, "rest")]
    files = [soundfile.read(path, dtype="float32")[0] for _, _, _, path, _ in told]
    mix = soundfile.read(root / "short.wav", dtype="float32")[0]
    assert 20 * np.log10(np.abs(sum(files) - mix).max() + 1e-12) < NULL_LIMIT_DB
    fractions = [m.args[1] for m in ear.heard if m.address == "/lasso/job/progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_session_is_written_beside_the_stems(ear: Ear, root: Path) -> None:
    assert ear.refusal("/lasso/export", "rpp", "never") == "not_found"
    assert ear.refusal("/lasso/export", "cubase") == "out_of_range"
    ear.ask("/lasso/query", "solo violin", answer="/lasso/done")
    ear.ask("/lasso/slot/1/name", "the lead", answer="/lasso/done")
    address, kind, path = ear.ask("/lasso/export", "rpp", "first", answer="/lasso/done")
    assert (address, kind, Path(path)) == ("/lasso/export", "rpp", root / "stems" / "short.rpp")
    ear.ask("/lasso/slot/1/remove", answer="/lasso/done")
    text = Path(path).read_text()
    assert 'NAME "the lead"' in text
    assert [name in text for name in ("short.wav", "short - solo violin.wav", "short - rest.wav")] == [
        True
    ] * 3
    assert ear.refusal("/lasso/export", "rpp") == "exists"


def test_a_session_leaves_the_root_by_no_link(
    ear: Ear, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (root / "stems" / "short (Ardour)").symlink_to(outside)
    assert ear.refusal("/lasso/export", "ardour", "first") == "bad_path"
    assert list(outside.iterdir()) == []


def test_what_is_there_is_not_replaced_unless_asked(ear: Ear) -> None:
    ear.send("/lasso/render", "short.wav", "solo violin")
    assert ear.wait("/lasso/fail", READY_LIMIT_S)[:2] == ("/lasso/render", "exists")
    ear.ask("/lasso/existing", "skip", answer="/lasso/done")
    ear.send("/lasso/render", "short.wav", "solo violin")
    assert ear.wait("/lasso/done", READY_LIMIT_S)[0] == "/lasso/render"
    ear.ask("/lasso/existing", "overwrite", answer="/lasso/done")


def test_enabled_slots_are_rendered_together(ear: Ear, root: Path) -> None:
    ear.ask("/lasso/slot/1/query", "a bass", answer="/lasso/done")
    ear.ask("/lasso/slot/2/query", "drums", answer="/lasso/done")
    ear.ask("/lasso/slot/3/query", "a voice", answer="/lasso/done")
    ear.ask("/lasso/slot/3/enable", 0, answer="/lasso/done")
    ear.ask("/lasso/input", "short.wav", answer="/lasso/done")
    ear.ask("/lasso/slot/1/threshold", 0, answer="/lasso/done")
    ear.ask("/lasso/slot/2/threshold", 1, answer="/lasso/done")
    ear.ask("/lasso/output", "band", answer="/lasso/done")
    ear.send("/lasso/do", 5, "/lasso/render")
    assert ear.wait("/lasso/done", READY_LIMIT_S)[-1] == 5
    told = [m.args for m in ear.heard if m.address == "/lasso/job/stem"]
    assert [(slot, query) for _, slot, query, _, _ in told] == [(1, "a bass"), (2, "drums"), (0, "rest")]
    assert all(Path(path).parent == root / "band" for *_, path, _ in told)
    bass, drums = (soundfile.read(root / "band" / f"short - {name}.wav")[0] for name in ("a bass", "drums"))
    assert bass.any() and not drums.any()  # a gate that is always open, and one that never is


def test_what_is_planned_changes_the_next_render_and_no_other(ear: Ear, root: Path) -> None:
    ear.ask("/lasso/slot/1/query", "a bass", answer="/lasso/done")
    ear.ask("/lasso/slot/2/enable", 0, answer="/lasso/done")
    ear.ask("/lasso/gate", 1, answer="/lasso/done")
    ear.ask("/lasso/slot/1/threshold", 0, answer="/lasso/done")
    ear.ask("/lasso/existing", "overwrite", answer="/lasso/done")
    ear.ask("/lasso/output", "planned", answer="/lasso/done")
    done = ear.ask("/lasso/at", 1.0, "/lasso/slot/threshold", 1, 1, answer="/lasso/done")
    assert done == ("/lasso/at", 1.0, "/lasso/slot/1/threshold")
    ear.ask("/lasso/at", 0.5, "/lasso/query", "solo violin", answer="/lasso/done")
    ear.send("/lasso/at/list")
    assert ear.wait("/lasso/at/item") == (0.5, "/lasso/query", "solo violin")
    assert ear.wait("/lasso/at/item") == (1.0, "/lasso/slot/1/threshold", 1.0)
    assert ear.wait("/lasso/at/end") == (2,)

    def rendered() -> np.ndarray:
        ear.send("/lasso/do", next(NUMBERS), "/lasso/render", "short.wav")
        ear.wait("/lasso/done", READY_LIMIT_S)
        return soundfile.read(root / "planned" / "short - a bass.wav", dtype="float32", always_2d=True)[0].T

    changed = rendered()
    mix = np.asarray(soundfile.read(root / "short.wav", always_2d=True)[0].T, np.float32)
    stream = SeparationStream("lariat", "a bass", RATE_HZ, 2, gate_threshold=0.0)
    stems = [stream.process(mix[:, : RATE_HZ // 2])]
    stream.queries = "solo violin"
    stems.append(stream.process(mix[:, RATE_HZ // 2 : RATE_HZ]))
    stream.gate_threshold = 1.0
    stems += [stream.process(mix[:, RATE_HZ:]), stream.flush()]
    wanted = np.concatenate(stems, axis=2)[0][:, stream.latency_samples :]
    np.testing.assert_allclose(changed, wanted, atol=1e-6)
    assert ear.ask("/lasso/at/clear", answer="/lasso/done") == ("/lasso/at/clear", 0)
    unchanged = rendered()
    assert not changed[:, -1000:].any() and unchanged[:, -1000:].any()


def test_planned_changes_are_those_of_a_render() -> None:
    planned = [
        Planned(1.0, "/lasso/slot/5/query", "query", 5, "rain"),
        Planned(2.0, "/lasso/slot/2/threshold", "threshold", 2, 0.3),
        Planned(3.0, "/lasso/avoid", "avoid", None, "a dog, , a voice"),
        Planned(4.0, "/lasso/gate", "gate", None, 0),
    ]
    assert [(one["name"], one["value"], one["stem"]) for one in changes_of(planned, (2, 5))] == [
        ("query", "rain", 1),
        ("gate_threshold", 0.3, 0),
        ("avoid", ["a dog", "a voice"], 0),
        ("gate", False, 0),
    ]
    assert changes_of(planned, (2, 5))[3]["value"] is False


def test_plans_are_bounded(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_CHANGES", 2)
    for at_s in (1.0, 2.0):
        ear.ask("/lasso/at", at_s, "/lasso/gate", 0, answer="/lasso/done")
    assert ear.refusal("/lasso/at", 3.0, "/lasso/gate", 0) == "queue_full"
    assert ear.ask("/lasso/at/clear", answer="/lasso/done") == ("/lasso/at/clear", 2)


def test_a_plan_that_cannot_be_is_refused(ear: Ear) -> None:
    assert ear.refusal("/lasso/at", 1.0, "/lasso/mix", 0.5) == "bad_args"
    assert ear.refusal("/lasso/at", 1.0, "/lasso/slot/*/query", "x") == "bad_args"
    assert ear.refusal("/lasso/at", 1.0, "/lasso/gate") == "bad_args"
    assert ear.refusal("/lasso/at", 1.0, "/lasso/query", " ") == "bad_args"
    assert ear.refusal("/lasso/at", 1.0, "/lasso/nosuch", 1) == "unknown_address"
    assert ear.refusal("/lasso/at", "soon", "/lasso/gate", 1) == "bad_args"
    ear.ask("/lasso/at", 1.0, "/lasso/slot/9/query", "x", answer="/lasso/done")
    ear.send("/lasso/render", "short.wav", "a bass", "planned for another")
    assert ear.wait("/lasso/fail")[1::2] == ("bad_args", "planned for another")
    assert ear.ask("/lasso/at/clear", answer="/lasso/done") == ("/lasso/at/clear", 1)


def test_a_render_can_be_cancelled_and_leaves_nothing(ear: Ear, root: Path) -> None:
    ear.ask("/lasso/output", "cancelled", answer="/lasso/done")
    ear.send("/lasso/render", "long.wav", "rain", "stop me")
    ear.wait("/lasso/job/progress", READY_LIMIT_S)
    ear.send("/lasso/render", "long.wav", "rain", "stop me")  # sent twice: the same job
    assert ear.wait("/lasso/job/state") == ("stop me", "running")
    assert ear.ask("/lasso/job/cancel", "stop me", answer="/lasso/done") == ("/lasso/job/cancel", "stop me")
    assert ear.wait("/lasso/fail", READY_LIMIT_S)[1] == "cancelled"
    assert [path for path in (root / "cancelled").rglob("*") if path.is_file()] == []


def test_ping_is_answered_during_a_render_and_a_flood(server: Running, ear: Ear) -> None:
    ear.ask("/lasso/output", "ping", answer="/lasso/done")
    ear.send("/lasso/render", "long.wav", "rain", "busy")
    ear.wait("/lasso/job/progress", READY_LIMIT_S)
    waits_s = []
    with Ear(server.port) as flood:
        for i in range(200):
            for j in range(4):
                flood.send("/lasso/slot/5/gain", -(i * 4 + j) / 50)
            start_s = time.perf_counter()
            ear.ask("/lasso/ping", i, answer="/lasso/pong")
            waits_s.append(time.perf_counter() - start_s)
    ear.ask("/lasso/job/cancel", "*", answer="/lasso/done")
    ear.wait("/lasso/fail", READY_LIMIT_S)
    assert np.percentile(waits_s, 99) < PING_P99_LIMIT_S
    assert ear.ask("/lasso/slot/5/gain") == (pytest.approx(-799 / 50),)


def test_a_render_that_is_refused_names_its_job(ear: Ear) -> None:
    assert ear.ask("/lasso/render", "nowhere.wav", "drums", "refused", answer="/lasso/fail")[3:] == (
        "refused",
    )
    assert ear.ask("/lasso/render", "nowhere.wav", "drums", answer="/lasso/fail")[3:] == ()


def test_a_file_that_is_no_audio_fails_with_a_reason(ear: Ear, root: Path) -> None:
    (root / "text.wav").write_text("this is no audio file")
    ear.send("/lasso/render", "text.wav", "rain", "text")
    _, code, reason, job = ear.wait("/lasso/fail", READY_LIMIT_S)
    assert (code, job) == ("audio_error", "text")
    assert "text.wav" in reason


def test_a_worker_that_is_killed_fails_its_job_and_leaves_no_file(
    server: Running, ear: Ear, root: Path
) -> None:
    ear.ask("/lasso/output", "killed", answer="/lasso/done")
    ear.send("/lasso/render", "long.wav", "rain", "doomed")
    ear.wait("/lasso/job/progress", READY_LIMIT_S)
    pid = server.ask(lambda: server.server.jobs.worker.pid)
    assert pid is not None
    os.kill(pid, signal.SIGSEGV)
    _, code, reason, job = ear.wait("/lasso/fail", READY_LIMIT_S)
    assert (code, job) == ("worker_crashed", "doomed")
    assert "SIGSEGV" in reason
    finished = [path.name for path in (root / "killed").iterdir() if not path.name.startswith(".")]
    assert finished == []
    assert ear.ask("/lasso/ping", answer="/lasso/pong") == ()
