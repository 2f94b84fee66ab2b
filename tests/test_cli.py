"""The command line: exit codes, what goes to stdout and what to stderr, and how it ends when told to.

Timing: importing for `--help` is judged by what is loaded, not by the clock.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer

from soundlasso import __version__
from soundlasso.bridge.cli import main
from soundlasso.bridge.commands.render import _OF_PRESET
from soundlasso.bridge.commands.seconds import read_seconds
from tests.signals import noise

RATE = 8000
TIMEOUT_S = 120


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """Undo the command's handler, which the process of a real command takes with it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", noise(2, 9000).T, RATE, subtype="FLOAT")
    return "song.wav"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def complaints(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("soundlasso: ")]


def test_help_lists_the_commands_without_loading_them() -> None:
    script = (
        "import sys, soundlasso.bridge.cli as cli\ntry: cli.main(['--help'])\nfinally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0
    assert "Name sounds, get their stems as files." in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"torch", "transformers", "scipy", "numpy", "soundfile", "matplotlib", "pedalboard"}


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "soundlasso", "--version"], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert (done.returncode, done.stdout) == (0, f"soundlasso {__version__}\n")


def test_no_words_give_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert "render" in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["rendr"], "did you mean 'render'"),
        (["render", "song.wav"], "missing option '--query'"),
        (["render", "-q", "drums"], "missing argument 'MIX...'"),
        (["render", "song.wav", "-q", "drums", "--start", "soon"], "invalid value for '--start'"),
        (["render", "song.wav", "-q", "drums", "--stereo", "mono"], "'mono' is not one of"),
        (["render", "song.wav", "-q", "drums", "--loud"], "no such option: --loud"),
        (["render", "song.wav", "-q", "drums", "--loud"], "see soundlasso render --help"),
        (["presets", "shew"], "see soundlasso presets --help"),
        (["render", "song.wav", "-q", "drums", "--length", "1:75"], "'1:75' is no time; write seconds, m:ss"),
        (["render", "song.wav", "-q", "drums", "--format", "mp3"], "no output format 'mp3'"),
        (["render", "song.wav", "-q", "drums", "--name", "{x}/{query}"], "no field {x}"),
        (["render", "song.wav", "-q", ""], "the query '' is empty"),
        (["render", "song.wav", "-q", "a", "-q", "a"], "given twice"),
        (["render", "song.wav", "-q", "a", "--model", "larait"], "did you mean 'lariat'"),
        (["render", "song.wav", "-q", "a", "--model", "larait", "--dry-run"], "did you mean 'lariat'"),
        (["render", "song.wav", "-q", "a", "-o", "song.wav"], "cannot make 'song.wav/"),
        (["render", "song.wav", "-q", "a", "--avoid", "a"], "both asked for and to be avoided"),
        (["render", "song.wav", "-q", "a", "--format", "flac", "--subtype", "FLOAT"], "flac does not hold"),
        (["render", "song.wav", "-q", "a", "--overwrite", "--skip-existing"], "exclude each other"),
        (["render", "song.wav", "-q", "a", "--events", "no/such/folder"], "cannot write events"),
        (["render", "*.flac", "-q", "a"], "no audio file in '*.flac'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], mix: str, arguments: list[str], reason: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert reason.lower() in err.lower()
    assert os.listdir() == [mix]


def test_json_is_one_object_per_mix_and_nothing_else(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    soundfile.write("second.flac", noise(1, 5000).T, 16000)
    code, out, _ = run(capsys, "render", mix, "second.flac", "-q", "drums", "-q", "a flute", "--json")
    assert code == 0
    first, second = (json.loads(line) for line in out.splitlines())
    assert list(first) == [
        "mix", "model", "sample_rate", "channels", "seconds", "realtime_factor", "latency_samples", "stems",
        "rest", "null_db",
    ]  # fmt: skip
    assert (first["mix"], first["sample_rate"], first["channels"], first["seconds"]) == (mix, RATE, 2, 1.125)
    assert [stem["query"] for stem in first["stems"]] == ["drums", "a flute"]
    assert second["rest"] == os.path.join("stems", "second - rest.wav")
    assert all(Path(stem["path"]).exists() for told in (first, second) for stem in told["stems"])


def test_results_are_readable_and_progress_goes_to_stderr(
    capsys: pytest.CaptureFixture[str], mix: str
) -> None:
    code, out, err = run(capsys, "render", mix, "-q", "drums")
    assert code == 0
    assert out.splitlines()[0].startswith("song.wav (1.1 s) took ")
    assert [line.split(":")[0].strip() for line in out.splitlines()[1:3]] == [
        os.path.join("stems", "song - drums.wav"),
        os.path.join("stems", "song - rest.wav"),
    ]
    assert err == "song.wav: separating\n"


def test_one_bad_file_does_not_stop_the_others(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    Path("broken.wav").write_text("no audio")
    bad = noise(1, 9000)
    bad[0, 5000] = np.inf
    soundfile.write("inf.wav", bad.T, RATE, subtype="FLOAT")
    arguments = ["broken.wav", "missing.wav", "inf.wav", mix]
    code, out, err = run(capsys, "render", *arguments, "-q", "drums", "--json", "--events", "events.jsonl")
    assert code == 1
    assert [json.loads(line)["mix"] for line in out.splitlines()] == [mix]
    assert len(complaints(err)) == 3
    for name in ("'broken.wav' is not audio", "'missing.wav': No such file", "'inf.wav' holds inf"):
        assert any(name in line for line in complaints(err))
    events = [json.loads(line) for line in Path("events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["mix"] for event in events if event["event"] == "error"] == arguments[:3]
    assert [event["mix"] for event in events if event["event"] == "done"] == [mix]
    assert sorted(os.listdir("stems")) == ["song - drums.wav", "song - rest.wav", "song.soundlasso.json"]


def test_what_is_there_is_refused_overwritten_or_skipped(
    capsys: pytest.CaptureFixture[str], mix: str
) -> None:
    arguments = ["render", mix, "-q", "drums", "--json"]
    first = run(capsys, *arguments)
    assert first[0] == 0
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "exists already" in err
    assert run(capsys, *arguments, "--skip-existing")[:2] == first[:2]
    assert run(capsys, *arguments, "--overwrite")[0] == 0


def test_a_dry_run_names_the_files_and_makes_none(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    code, out, err = run(capsys, "render", mix, "-q", "a/b", "-o", "out", "--dry-run", "--plot")
    assert (code, err) == (0, "")
    assert [Path(line).name for line in out.splitlines()] == [
        "song - a_b.wav",
        "song - rest.wav",
        "song.soundlasso.png",
        "song.soundlasso.json",
    ]
    assert os.listdir() == [mix]


def test_folders_keep_their_shape_under_the_output(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    for folder in ("in/a", "in/b"):
        os.makedirs(folder)
        soundfile.write(f"{folder}/take.wav", noise(1, 3000).T, RATE)
    code, _, _ = run(capsys, "render", "in", "-q", "drums", "-o", "out", "--no-rest", "--format", "flac")
    assert code == 0
    found = sorted(path.as_posix() for path in Path("out").rglob("*.flac"))
    assert found == ["out/a/take - drums.flac", "out/b/take - drums.flac"]


def test_when_skipping_one_mix_that_is_in_the_way_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], mix: str
) -> None:
    soundfile.write("other.wav", noise(1, 5000).T, RATE)
    os.mkdir("stems")
    Path("stems/other - drums.wav").write_text("precious")
    code, out, err = run(capsys, "render", "other.wav", mix, "-q", "drums", "--json", "--skip-existing")
    assert code == 1
    assert [json.loads(line)["mix"] for line in out.splitlines()] == [mix]
    assert [line for line in complaints(err) if "other - drums.wav' exists already" in line]
    assert Path("stems/other - drums.wav").read_text() == "precious"


def test_events_never_go_into_an_input(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    before = Path(mix).read_bytes()
    code, _, err = run(capsys, "render", mix, "-q", "drums", "--events", f"./{mix}")
    assert code == 2
    assert "is an input; write the events to another file" in err
    assert Path(mix).read_bytes() == before


def test_events_tell_why_nothing_is_rendered(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    code, _, err = run(capsys, "render", mix, "-q", "drums", "--device", "abacus", "--events", "e.jsonl")
    assert code == 1
    (event,) = (json.loads(line) for line in Path("e.jsonl").read_text(encoding="utf-8").splitlines())
    assert (event["event"], event["mix"]) == ("error", mix)
    assert event["message"] in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_full_disk_for_events_is_one_line_and_stops_no_mix(
    capsys: pytest.CaptureFixture[str], mix: str, jobs: str
) -> None:
    shutil.copy(mix, "other.wav")
    arguments = ["render", mix, "other.wav", "-q", "drums", "--jobs", jobs, "--events", "/dev/full"]
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert complaints(err) == ["soundlasso: cannot write events to '/dev/full': No space left on device"]
    assert len(list(Path("stems").glob("*.json"))) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a disk that is always full")
def test_results_that_cannot_be_printed_are_one_line_and_exit_code_1(mix: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "soundlasso", "render", mix, "-q", "a", "--dry-run"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
        )
    assert (done.returncode, done.stderr) == (1, "soundlasso: No space left on device\n")


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_name_that_is_no_utf8_is_printed(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    odd = os.fsdecode(b"caf\xe9.wav")
    os.rename(mix, odd)
    assert json.loads(run(capsys, "render", odd, "-q", "a", "--json", "-o", "a")[1])["mix"] == odd
    code, out, _ = run(capsys, "render", odd, "-q", "a", "-o", "b")
    assert code == 0
    assert out.startswith("caf\\udce9.wav (1.1 s) took")


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals and inherited descriptors")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_stopped_leaves_no_partial_file(
    capsys: pytest.CaptureFixture[str], mix: str, number: signal.Signals, code: int
) -> None:
    soundfile.write("long.wav", np.tile(noise(1, 80_000), 90).T, RATE)
    reading, writing = os.pipe()
    parts: list[str] = []

    def stop_at_first_progress() -> None:
        with os.fdopen(reading) as events:
            next(line for line in events if json.loads(line)["event"] == "progress")
            parts.extend(os.listdir("stems"))
            os.kill(os.getpid(), number)

    watcher = threading.Thread(target=stop_at_first_progress)
    watcher.start()
    ended, _, err = run(capsys, "render", "long.wav", "-q", "drums", "--events", f"fd:{writing}")
    watcher.join(TIMEOUT_S)
    assert ended == code
    assert "Traceback" not in err
    assert [Path(part).suffix for part in parts] == [".part", ".part"]
    assert os.listdir("stems") == []


def test_mixes_that_would_become_one_file_do_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], mix: str
) -> None:
    for name in ("talk.wav", "talk.flac"):
        soundfile.write(name, noise(1, 3000).T, RATE)
    code, out, err = run(capsys, "render", "talk.wav", mix, "talk.flac", "-q", "drums", "--json")
    assert code == 1
    assert [json.loads(line)["mix"] for line in out.splitlines()] == [mix]
    assert [line.split(" would become ")[0] for line in complaints(err)] == [
        "soundlasso: 'talk.flac'",
        "soundlasso: 'talk.wav'",
    ]
    assert all("render one into another folder, or rename it" in line for line in complaints(err))


def test_a_name_that_all_mixes_would_have_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], mix: str
) -> None:
    shutil.copy(mix, "other.wav")
    code, _, err = run(capsys, "render", mix, "other.wav", "-q", "drums", "--name", "{query}")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "add {mix} to the name template" in err


def test_what_a_list_or_folder_passes_over_is_told_on_stderr(
    capsys: pytest.CaptureFixture[str], mix: str
) -> None:
    assert run(capsys, "render", mix, "-q", "drums")[0] == 0
    Path("talk.m4a").write_bytes(b"not read")
    Path("all.txt").write_text("song.wav\nstems/song - drums.wav\n", encoding="utf-8")
    code, _, err = run(capsys, "render", ".", "--list", "all.txt", "-q", "drums", "-o", "again", "--dry-run")
    assert code == 0
    assert complaints(err) == [
        "soundlasso: passed over 1 stem of earlier renders",
        "soundlasso: passed over a file in '.' (.m4a); soundlasso reads wav, flac, aiff, ogg, opus, mp3; "
        "convert it, as with: ffmpeg -i talk.m4a talk.wav",
    ]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["-q", "drums", "-q", "a flute"], "not found: try other words, --gate-threshold 0.3 or --no-gate"),
        (
            ["-q", "drums", "--remove"],
            "not found, so nothing was removed: try other words, --gate-threshold 0.3 or --no-gate",
        ),
        (["-q", "drums", "--no-gate"], "not found: try other words"),
        (["-p", "one-sound"], "not found: try other words, or --set gate=false"),
    ],
)
def test_a_silent_stem_comes_with_one_hint(
    capsys: pytest.CaptureFixture[str], mix: str, options: list[str], hint: str
) -> None:
    soundfile.write("hush.wav", np.zeros(RATE), RATE)
    code, out, _ = run(capsys, "render", "hush.wav", *options)
    assert (code, out.count("not found")) == (0, 1)
    assert out.splitlines()[-1] == f"  {hint}"
    assert "not found" not in run(capsys, "render", "hush.wav", *options, "--resume", "--json")[1]


def test_a_region_may_be_written_as_on_a_clock(capsys: pytest.CaptureFixture[str], mix: str) -> None:
    soundfile.write("long.wav", noise(1, 63 * RATE).T, RATE)
    code, out, _ = run(
        capsys, "render", "long.wav", "-q", "drums", "--start", "1:00", "--length", "0:00:02", "--json"
    )
    assert (code, json.loads(out)["seconds"]) == (0, 2.0)
    record = json.loads(Path("stems/long.soundlasso.json").read_text(encoding="utf-8"))
    assert record["start_s"] == 60


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("1:30", 90), ("90:00", 5400), ("1:01:30.5", 3690.5), ("0", 0), (2.5, 2.5)],
)
def test_a_time_is_read_as_people_write_it(text: str | float, seconds: float) -> None:
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1:2", "1:60", "1:60:00", "1:2:3:4", "-1:30", "1:+5"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        read_seconds(text)


def test_the_help_of_a_preset_names_the_options_that_it_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "render", "--help")[1].replace("-\n", "-")
    of_preset = told[told.index("-p, --preset") : told.index("--list")]
    assert all(f"--{option.replace('_', '-')}" in "".join(of_preset.split()) for option in _OF_PRESET)
