"""Batches: several processes, bad files, dead processes, being stopped, going on, and what is told of it."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from soundlasso.bridge.batch import Outcome, run_batch, share_threads
from soundlasso.bridge.batch_report import BatchReport
from soundlasso.bridge.cli import main
from soundlasso.bridge.events import Event
from soundlasso.bridge.presets.library import CONFIG_VARIABLE
from soundlasso.bridge.presets.reading import parse_preset
from soundlasso.bridge.presets.rendering import plan_preset, settings_of
from soundlasso.bridge.render_inputs import find_inputs, read_list
from soundlasso.bridge.render_plan import RenderPlan, RenderSettings, plan_render
from soundlasso.dsp.errors import SoundlassoError
from soundlasso.models.separator import load_model
from tests.signals import noise

RATE = 8000
TIMEOUT_S = 400


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """Undo the command's handler, which the process of a real command takes with it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def write_mix(path: Path, seconds: float = 0.5, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(1, round(seconds * RATE), seed).T, RATE, subtype="FLOAT")
    return path


def plans_of(folder: Path, count: int, seconds: float = 0.5) -> list[RenderPlan]:
    return [
        plan_render(
            write_mix(folder / f"{number}.wav", seconds, number), ["drums"], folder / "out", RenderSettings()
        )
        for number in range(count)
    ]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_process_that_dies_takes_one_mix_with_it_and_the_others_are_as_ever(tmp_path: Path) -> None:
    plans = plans_of(tmp_path, 3)
    write_mix(tmp_path / "0.wav", 1200)
    plans[0] = plan_render(tmp_path / "0.wav", ["drums"], tmp_path / "out", RenderSettings())
    killed: list[str] = []

    def kill_the_first(event: Event) -> None:
        if event.event == "progress" and event.mix.endswith("0.wav") and not killed:
            killed.append(event.mix)
            os.kill(worker(), signal.SIGKILL)

    def worker() -> int:
        """Find the process that holds the first mix open."""
        for folder in Path("/proc").glob("[0-9]*/fd"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                if str(tmp_path / "0.wav") in [os.readlink(link) for link in folder.iterdir()]:
                    return int(folder.parent.name)
        raise AssertionError("no process has the mix open")

    outcomes = {
        outcome.plan.mix.path.name: outcome for outcome in run_batch(plans, jobs=2, progress=kill_the_first)
    }
    assert "ended by signal 9; fewer --jobs need less memory" in outcomes["0.wav"].error
    assert all(outcomes[f"{n}.wav"].result is not None for n in (1, 2))
    assert all((outcomes[f"{n}.wav"].peak_memory_mb or 0) > 50 for n in (1, 2))
    alone = [
        plan_render(plan.mix.path, ["drums"], tmp_path / "alone", RenderSettings()) for plan in plans[1:]
    ]
    assert all(outcome.result is not None for outcome in run_batch(alone, progress=lambda event: None))
    for path in (tmp_path / "alone").glob("*.wav"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    assert [name for name in files(tmp_path / "out") if not name.endswith((".wav", ".json"))] == [], "partial"


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_leaves_no_partial_file_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = begin_a_long_batch(tmp_path)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to every process of the job
    _, err = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == 130
    assert b"Traceback" not in err
    assert files(tmp_path / "stems") == ["0 - drums.wav", "0 - rest.wav", "0.soundlasso.json"]
    summary = [json.loads(line) for line in (tmp_path / "summary.jsonl").read_text("utf-8").splitlines()]
    assert [(Path(row["mix"]).name, row["state"]) for row in summary] == [("0.wav", "rendered")]
    go_on(tmp_path, monkeypatch, capsys)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_batch_killed_whole_leaves_no_half_file_under_its_name_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = begin_a_long_batch(tmp_path)
    os.killpg(running.pid, signal.SIGKILL)  # parent and workers, none of which can tidy up
    running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == -signal.SIGKILL
    named = [name for name in files(tmp_path / "stems") if not name.startswith(".")]
    assert named == ["0 - drums.wav", "0 - rest.wav", "0.soundlasso.json"]
    for path in (tmp_path / "stems").glob(".soundlasso-*"):
        path.unlink()  # hidden, and no worse than litter
    go_on(tmp_path, monkeypatch, capsys)


BATCH = ["render", "in", "-q", "drums"]


def begin_a_long_batch(folder: Path) -> "subprocess.Popen[bytes]":
    """Start a batch of a short mix and two long ones; return when both long ones are being rendered."""
    write_mix(folder / "in" / "0.wav")
    for number in (1, 2):
        write_mix(folder / "in" / f"{number}.wav", 1200, number)
    events = folder / "events.jsonl"
    running = subprocess.Popen(
        [sys.executable, "-m", "soundlasso", *BATCH, "--jobs", "2", "--events", str(events),
         "--summary", "summary.jsonl"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    wait_for(events, lambda told: progress_of(told) >= {"1.wav", "2.wav"}, running)
    return running


def go_on(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Resume the batch with short mixes; what was finished must not be done twice."""
    for number in (1, 2):
        write_mix(folder / "in" / f"{number}.wav", 0.5, number)
    monkeypatch.chdir(folder)
    finished = {path: path.stat().st_mtime_ns for path in (folder / "stems").iterdir()}
    code, out, _ = run(capsys, *BATCH, "--resume", "--json")
    assert (code, len(out.splitlines())) == (0, 3)
    assert len(files(folder / "stems")) == 9
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items()), "done twice"


def progress_of(told: list[dict[str, str]]) -> set[str]:
    return {Path(event["mix"]).name for event in told if event["event"] == "progress"}


def wait_for(path: Path, ready: object, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the events say so, or the process ends."""
    assert callable(ready)
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if ready([json.loads(line) for line in lines if line.endswith(b"\n")]):
            return
        time.sleep(0.05)
    raise AssertionError(f"not ready; the process returned {process.poll()}")


def test_a_batch_ends_with_a_table_and_a_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mix(tmp_path / "in" / "good.wav")
    soundfile.write(tmp_path / "in" / "hush.wav", np.zeros(RATE), RATE)
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    arguments = ["render", "in", "-q", "drums", "--no-gate", "--resume"]
    for ending in ("csv", "jsonl"):
        code, out, _ = run(capsys, *arguments, "--summary", f"all.{ending}")
        assert code == 1
    assert "3 mixes: 2 skipped, 1 failed; 0.0 s of sound in" in out.replace("\n", " ")
    assert "MB each" in out.replace("\n", " ") or sys.platform == "win32"
    rows = list(csv.DictReader(io.StringIO(Path("all.csv").read_text(encoding="utf-8"))))
    assert [row["state"] for row in rows] == ["failed", "rendered", "rendered"]
    assert "is not audio" in rows[0]["error"]
    assert rows[1]["files"] == "stems/good - drums.wav; stems/good - rest.wav".replace("/", os.sep)
    last = [json.loads(line) for line in Path("all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["state"] for row in last] == ["failed", "skipped", "skipped"]
    for row in last[1:]:
        is_silent = not soundfile.read(row["files"][0])[0].any()
        assert row["silent"] == (["drums"] if is_silent else []) and row["error"] is None
    assert last[2]["silent"] == ["drums"] and last[1]["silent"] == []


def test_a_table_shows_brackets_as_they_are() -> None:
    report = BatchReport()
    report.add_failure(Path("song [live].wav"), "no [/] sense")
    console = Console(width=100, file=io.StringIO())
    console.print(report.table(1.0, 1))
    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    assert "song [live].wav" in told and "no [/] sense" in told


def test_a_long_table_shows_the_failures_alone() -> None:
    report = BatchReport()
    for number in range(100):
        report.add_failure(Path(f"{number}.wav"), "broken")
    assert report.table(1.0, 2).row_count == 100
    report.rows[:99] = [{"mix": "x", "state": "rendered", "took_s": 1.0, "seconds": 2.0}] * 99
    assert report.table(1.0, 2).row_count == 1


def test_a_quiet_stem_is_not_reported_silent_and_silence_is(tmp_path: Path) -> None:
    plans = []
    for name, level in (("quiet", 1e-4), ("silence", 0.0)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, noise(1, RATE, level=level).T, RATE, subtype="FLOAT")
        plans.append(plan_render(path, ["drums"], tmp_path / "out", RenderSettings(gate=False)))
    report = BatchReport()
    for outcome in run_batch(plans, progress=lambda event: None):
        report.add(outcome)
    assert [row["silent"] for row in report.rows] == [[], ["drums"]]


@pytest.mark.parametrize(("jobs", "threads"), [(1, []), (2, [4]), (3, [2]), (9, [1])])
def test_processes_share_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, threads: list[int]
) -> None:
    (plan,) = plans_of(tmp_path, 1)
    set_to: list[int] = []
    own = load_model("lariat").threads
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    share_threads(plan, jobs)
    assert set_to == [*threads, *([] if own is None else [own])]


@pytest.mark.parametrize("target", ["all.txt", "no/such/folder/all.csv"])
def test_a_summary_that_cannot_be_written_is_refused_at_once(target: str) -> None:
    with pytest.raises(SoundlassoError, match="cannot write"):
        BatchReport(Path(target))


def test_inputs_come_from_a_list_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "mixes.txt"
    listed.write_text("a.wav\n\n  b c.flac \r\n", encoding="utf-8")
    assert read_list(str(listed)) == ["a.wav", "b c.flac"]
    assert [found.path.name for found in find_inputs(read_list(str(listed)), tmp_path)] == [
        "a.wav",
        "b c.flac",
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("x.wav\n"))
    assert read_list("-") == ["x.wav"]
    listed.write_text(" \n", encoding="utf-8")
    with pytest.raises(SoundlassoError, match="names no file"):
        read_list(str(listed))
    with pytest.raises(SoundlassoError, match=r"cannot read the list .*: No such file"):
        read_list(str(tmp_path / "none.txt"))


def test_an_outcome_is_a_result_or_an_error(tmp_path: Path) -> None:
    (plan,) = plans_of(tmp_path, 1)
    os.truncate(plan.mix.path, 400)
    (outcome,) = run_batch([plan], progress=lambda event: None)
    assert isinstance(outcome, Outcome)
    assert outcome.result is None and "cut short" in outcome.error


def test_an_error_that_nobody_foresaw_stops_no_other_mix(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    preset = parse_preset('[stem.a]\nquery = "drums"\nchain = [{ effect = "MP3Compressor" }]')
    plans = []
    for name, rate in (("no MP3.wav", 96000), ("good.wav", 44100)):
        soundfile.write(tmp_path / name, noise(1, rate // 4).T, rate, subtype="FLOAT")
        plans.append(plan_preset(tmp_path / name, tmp_path / "out", settings_of(preset)))
    bad, good = run_batch(plans, progress=lambda event: None)
    assert f"rendering {str(tmp_path / 'no MP3.wav')!r} failed: ValueError: " in bad.error
    assert "Traceback" in caplog.text
    assert good.error == "" and good.result is not None
    assert files(tmp_path / "out") == ["good - a.wav", "good - rest.wav", "good.soundlasso.json"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-p", "podcats"], "no preset 'podcats'; did you mean 'podcast'?"),
        (["-p", "podcast", "-q", "x"], "--query and --preset exclude each other"),
        (["-p", "podcast", "--format", "flac"],
         "--format goes with --query; with a preset, use --set output.format=VALUE"),
        (["-p", "podcast", "--no-gate"], "--gate goes with --query; with a preset, use --set gate=VALUE"),
        (["-p", "podcast", "--set", "gate=maybe"], "--set 'gate=maybe': gate is 'maybe'"),
        (["-q", "x", "--set", "gate=true"], "--set changes a preset"),
        (["-q", "x", "--jobs", "0"], "invalid value for '--jobs'"),
        ([], "missing option '--query' or '--preset'"),
    ],
)  # fmt: skip
def test_wrong_usage_with_presets_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], reason: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "config"))
    write_mix(tmp_path / "song.wav")
    code, out, err = run(capsys, "render", "song.wav", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert reason in err
    assert os.listdir() == ["song.wav"]


def test_each_mistake_of_a_preset_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mix(tmp_path / "song.wav")
    Path("bad.toml").write_text('descripton = "x"\n[stem.a]\nquery = "drums"\n', encoding="utf-8")
    code, _, err = run(capsys, "render", "song.wav", "-p", "bad.toml", "--set", "gate=\x1b[31m")
    assert code == 2
    first, second, third = err.splitlines()
    assert first == "soundlasso: bad.toml has 2 mistakes:"
    assert second.startswith("  line 1: descripton is no setting")
    assert "gate is '\\x1b[31m'" in third and "\x1b" not in third


def test_a_preset_is_rendered_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mix(tmp_path / "song.wav")
    arguments = ["render", "song.wav", "-p", "one-sound", "--set", "stem.sound.query=drums"]
    code, out, _ = run(capsys, *arguments, "--dry-run")
    assert (code, files(tmp_path)) == (0, ["song.wav"])
    assert [Path(line).name for line in out.splitlines()] == [
        "song - sound.wav", "song - rest.wav", "song.soundlasso.json",
    ]  # fmt: skip
    code, out, _ = run(capsys, *arguments, "--json")
    told = json.loads(out)
    assert (code, told["stems"][0]["name"], told["stems"][0]["query"]) == (0, "sound", "drums")
    assert len(files(tmp_path)) == 4


def test_presets_are_listed_shown_checked_copied_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "config"
    monkeypatch.setenv(CONFIG_VARIABLE, str(own))
    assert run(capsys, "presets", "edit-path")[1] == f"{own / 'presets'}\n"
    code, out, _ = run(capsys, "presets", "new", "mine", "--from", "podcast")
    assert (code, out) == (0, f"{own / 'presets' / 'mine.toml'}\n")
    listed = json.loads(run(capsys, "presets", "list", "--json")[1])
    assert len(listed) == 15
    assert [row["from"] for row in listed if row["name"] == "mine"] == ["yours"]
    assert "mine                     yours    Make a spoken recording" in run(capsys, "presets", "list")[1]
    shown = run(capsys, "presets", "show", "mine")[1]
    assert "loudness: -16 LUFS, at most -1 dBTP" in shown
    assert "voice: 'a person talking', HighpassFilter, PeakFilter" in shown
    assert run(capsys, "presets", "show", "mine", "--toml")[1].startswith('description = """')
    assert run(capsys, "presets", "check", "mine", "band")[:2] == (0, "mine: right\nband: right\n")
    path = own / "presets" / "mine.toml"
    path.write_text('model = "larait"\n[stem.a]\nquery = "x"\n', encoding="utf-8")
    code, _, err = run(capsys, "presets", "check")
    assert (code, "preset 'mine': no model 'larait'" in err) == (1, True)
    path.write_text("gat = true\n", encoding="utf-8")
    code, _, err = run(capsys, "presets", "check", "mine")
    assert (code, "line 1: gat is no setting; did you mean 'gate'?" in err) == (1, True)
    assert "mine                     yours    cannot be read" in run(capsys, "presets", "list")[1]
    assert run(capsys, "presets", "check", "podcats")[0] == 2
    assert run(capsys, "presets", "new", "mine")[0] == 1
    assert json.loads(run(capsys, "presets", "schema")[1])["title"] == "soundlasso preset"
