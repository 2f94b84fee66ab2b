"""Which files a command line names: same names kept apart, earlier stems left out, unread files told of."""

from pathlib import Path

import pytest

from soundlasso.bridge.render import render
from soundlasso.bridge.render_inputs import find_inputs
from soundlasso.dsp.errors import SoundlassoError
from tests.render_helpers import write_mix


@pytest.fixture
def episodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of episodes, in which files have the same name."""
    monkeypatch.chdir(tmp_path)
    for name in ("nest/ep1/host.wav", "nest/ep2/host.wav", "nest/ep2/guest.wav"):
        touch(name)
    return tmp_path


def touch(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(b"")


def places(*arguments: str, listed: tuple[str, ...] = ()) -> dict[str, str]:
    found = find_inputs(arguments, Path("out"), listed=listed)
    return {mix.path.as_posix(): mix.out.as_posix() for mix in found}


APART = {"nest/ep1/host.wav": "out/ep1", "nest/ep2/guest.wav": "out/ep2", "nest/ep2/host.wav": "out/ep2"}


@pytest.mark.parametrize(
    "arguments",
    [["nest/*/*.wav"], ["nest/ep1", "nest/ep2"], ["nest/ep1/host.wav", "nest/ep2"], ["nest"], sorted(APART)],
)
def test_mixes_of_the_same_name_keep_their_folders(episodes: Path, arguments: list[str]) -> None:
    assert places(*arguments) == APART
    assert places(listed=tuple(arguments)) == APART


def test_a_way_through_another_folder_leads_to_no_place_outside(episodes: Path) -> None:
    found = places("nest/ep2/../ep1/host.wav", "nest/ep2/host.wav")
    assert list(found.values()) == ["out/ep1", "out/ep2"]


def test_mixes_of_different_names_are_not_sorted_into_folders(episodes: Path) -> None:
    assert set(places("nest/ep1/host.wav", "nest/ep2/guest.wav").values()) == {"out"}
    assert set(places("nest/ep1", "nest/ep2/g*.wav").values()) == {"out"}


def test_a_name_that_differs_in_what_a_file_name_cannot_hold_is_the_same_name(episodes: Path) -> None:
    touch("nest/ep1/a_b.wav")
    touch("nest/ep2/a:b.wav")
    assert set(places("nest/ep1/a_b.wav", "nest/ep2/a:b.wav").values()) == {"out/ep1", "out/ep2"}


def test_a_list_leaves_out_stems_of_earlier_renders_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mix(tmp_path, "song.wav")
    render("song.wav", "drums", "stems", length_s=0.2, name="{mix}/{query}")
    told: list[str] = []
    listed = ["./song.wav", "./stems/song/drums.wav", "./stems/song/rest.wav"]
    found = find_inputs([], Path("stems"), listed=listed, tell=told.append)
    assert [mix.path for mix in found] == [Path("song.wav")]
    assert told == ["passed over 2 stems of earlier renders"]
    with pytest.raises(SoundlassoError, match="names no mix; 1 stem of earlier renders"):
        find_inputs([], Path("stems"), listed=listed[2:])
    assert len(find_inputs(listed[1:], Path("again"))) == 2  # named one by one, they are meant


def test_a_list_may_hold_what_no_system_has(tmp_path: Path) -> None:
    odd = ["n" * 300 + "/x.wav", str(tmp_path / "none" / "x.wav")]
    assert [mix.path for mix in find_inputs([], tmp_path, listed=odd)] == [Path(path) for path in odd]


@pytest.mark.parametrize("argument", ["in", "in/*"])
def test_files_that_only_others_read_are_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("talk.wav", "b.M4A", "a.mov", ".hidden.m4a", "notes.txt"):
        touch(f"in/{name}")
    told: list[str] = []
    find_inputs([argument], Path("out"), tell=told.append)
    assert len(told) == 1
    assert told[0].startswith(f"passed over 2 files in {argument!r} (.m4a, .mov); soundlasso reads wav, ")
    assert told[0].endswith("ffmpeg -i in/a.mov in/a.wav".replace("/", str(Path("/"))[-1]))
