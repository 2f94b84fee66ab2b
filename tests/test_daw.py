"""Files for DAWs are written whole, filled in, and never over others; requests are read strictly.

Joined channels are compared with the files they come from, sample for sample.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.cli import main
from soundlasso.bridge.daw.kits import KITS, command, find_kit, install_kit, plan_kit
from soundlasso.bridge.daw.request import Request, read_request
from soundlasso.bridge.daw.run import REPORT_ENDING, join_channels, run_request
from soundlasso.dsp.errors import AudioFileError, SoundlassoError

RATE_HZ = 8000
names = pytest.mark.parametrize("name", [kit.name for kit in KITS])


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


# Files


@names
def test_every_kit_has_a_page_and_nothing_is_left_to_fill_in(name: str, tmp_path: Path) -> None:
    paths = install_kit(find_kit(name), tmp_path / "new" / "folder", 12345)
    assert (tmp_path / "new" / "folder" / "README.md") in paths
    texts = {path: path.read_text("utf-8") for path in paths}
    assert not [path for path, text in texts.items() if re.search("@[A-Z]+@", text)]
    assert any("12345" in text for text in texts.values())
    kit = find_kit(name)
    page = texts[tmp_path / "new" / "folder" / "README.md"]
    assert kit.checked.partition(",")[0].lower() in " ".join(page.lower().split())


@pytest.mark.parametrize("name", ["reaper", "ardour"])
def test_scripts_know_the_whole_path_of_the_program(name: str, tmp_path: Path) -> None:
    install_kit(find_kit(name), tmp_path)
    assert f'COMMAND = "{command()}"' in (tmp_path / "soundlasso_separate.lua").read_text()


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    kit = find_kit("puredata")
    (tmp_path / "soundlasso.pd").write_text("mine")
    with pytest.raises(SoundlassoError, match=r"soundlasso\.pd' is there already; --overwrite"):
        install_kit(kit, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["soundlasso.pd"]
    assert (tmp_path / "soundlasso.pd").read_text() == "mine"
    install_kit(kit, tmp_path, overwrite=True)
    assert (tmp_path / "soundlasso.pd").read_text().startswith("#N canvas")
    install_kit(kit, tmp_path)  # the same again is no harm
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()
    with pytest.raises(SoundlassoError, match="is there already"):
        install_kit(kit, tmp_path, overwrite=True)


def test_the_command_lists_installs_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("daw", "list") == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == [k.name for k in KITS]
    assert run("daw", "install", "reaper", str(tmp_path), "--dry-run") == 0
    listed = capsys.readouterr().out.split()
    assert list(tmp_path.iterdir()) == []
    assert run("daw", "install", "reaper", str(tmp_path)) == 0
    assert capsys.readouterr().out.split() == listed
    assert sorted(map(str, tmp_path.rglob("*"))) == sorted(listed)
    assert run("daw", "install", "cubase", str(tmp_path)) == 1
    assert "no files for 'cubase'; choose one of reaper, ardour" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SoundlassoError, match="cannot write to"):
        install_kit(find_kit("reaper"), tmp_path / "file" / "below")


def test_subfolders_keep_their_place(tmp_path: Path) -> None:
    planned = [
        file.path.relative_to(tmp_path).as_posix() for file in plan_kit(find_kit("supercollider"), tmp_path)
    ]
    assert planned == ["HelpSource/Classes/Soundlasso.schelp", "README.md", "Soundlasso.sc"]


# Requests


def test_a_request_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.request"
    path.write_text(
        "path\tä.wav\npath\tb.wav\nquery\ta dog\nquery\tdrums\nout\to\nstart_s\t1.5\nlength_s\t2\n", "utf-8"
    )
    assert read_request(path) == Request(
        (Path("ä.wav"), Path("b.wav")), ("a dog", "drums"), Path("o"), 1.5, 2.0
    )
    path.write_text("path\ta\nquery\tb\nout\tc\n", "utf-8-sig")  # as Windows marks text
    assert read_request(path) == Request((Path("a"),), ("b",), Path("c"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path\ta\nquery\tb\n", "names no out"),
        ("path\ta\nout\tb\n", "names no query"),
        ("query\ta\nout\tb\n", "names no path"),
        ("path\ta\nwhat\tb\n", "line 2 of the request is 'what"),
        ("path a\n", "line 1 of the request is 'path a'; right would be a tab after"),
        ("path\ta\nquery\tb\nout\tc\nout\td\n", "gives out 2 times"),
        ("path\ta\nquery\tb\nout\tc\nstart_s\tsoon\n", "'soon' is no number of seconds"),
        ("path\ta\nquery\tb\nout\tc\nlength_s\tinf\n", "'inf' is no number of seconds"),
        ("path\ta\nquery\tb\nout\tc\nlength_s\tnan\n", "'nan' is no number of seconds"),
    ],
)
def test_a_request_that_is_wrong_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.request"
    path.write_text(text)
    with pytest.raises(SoundlassoError, match=reason):
        read_request(path)
    assert run_request(path) is False
    assert reason in (tmp_path / f"a.request{REPORT_ENDING}").read_text()


def test_a_request_that_is_gone_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SoundlassoError, match="cannot read the request"):
        run_request(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


def test_a_render_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.request"
    path.write_text(f"path\t{tmp_path}/none.wav\nquery\tdrums\nout\t{tmp_path / 'out'}\n")
    assert run_request(path) is False
    report = Path(f"{path}{REPORT_ENDING}").read_text().splitlines()
    assert len(report) == 1
    assert report[0].startswith("failed\t")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_error_that_nobody_foresaw_is_reported_too(tmp_path: Path) -> None:
    path = tmp_path / "a.request"
    path.write_text(f"path\t{tmp_path}/a.wav\nquery\tdrums\nout\t{tmp_path}/a\0b\n")
    assert run_request(path) is False
    report = Path(f"{path}{REPORT_ENDING}").read_text()
    assert report.startswith("failed\tthe request ")
    assert "ValueError: " in report


def test_deleting_the_request_cancels_a_render_that_runs(tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(4).standard_normal(RATE_HZ * 600)
    soundfile.write(tmp_path / "long.wav", noise, RATE_HZ, subtype="FLOAT")
    path = tmp_path / "a.request"
    path.write_text(f"path\t{tmp_path}/long.wav\nquery\tdrums\nout\t{tmp_path / 'out'}\n")
    report = Path(f"{path}{REPORT_ENDING}")

    def delete_when_it_runs() -> None:
        while not (report.exists() and "progress" in report.read_text()):
            time.sleep(0.01)
        path.unlink()

    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(delete_when_it_runs)
        assert run_request(path) is False
        deleting.result()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["long.wav", "out"]
    assert list((tmp_path / "out").iterdir()) == []


# Channels


def test_channels_are_joined_as_they_are(tmp_path: Path) -> None:
    audio = np.random.default_rng(3).standard_normal((3, 200_000)).astype(np.float32)
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for path, channel in zip(paths, audio, strict=True):
        soundfile.write(path, channel, RATE_HZ, subtype="FLOAT")
    join_channels(paths, tmp_path / "joined.wav", 0.5, 20.0)
    joined, rate_hz = soundfile.read(tmp_path / "joined.wav", dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(joined.T, audio[:, 4000:164_000])


@pytest.mark.parametrize(
    ("other", "reason"), [((100, 2), "has 2 channels"), ((99, 1), "99 samples at 8000 Hz")]
)
def test_channels_that_do_not_belong_together_are_refused(
    tmp_path: Path, other: tuple[int, int], reason: str
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE_HZ)
    soundfile.write(tmp_path / "b.wav", np.zeros(other), RATE_HZ)
    with pytest.raises(AudioFileError, match=reason):
        join_channels([tmp_path / "a.wav", tmp_path / "b.wav"], tmp_path / "c.wav")
    assert not (tmp_path / "c.wav").exists()
