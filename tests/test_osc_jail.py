"""No path that a client sends leads out of the root folder."""

import os
from pathlib import Path

import pytest

from soundlasso.bridge.osc.errors import OscError
from soundlasso.bridge.osc.jail import Jail


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file, beside things that are none of anybody's business."""
    (tmp_path / "outside.wav").write_bytes(b"x")
    (tmp_path / "root-evil").mkdir()
    (tmp_path / "root-evil" / "x.wav").write_bytes(b"x")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for name in ("mix.wav", "sub/a b.FLAC", "notes.txt"):
        (root / name).write_bytes(b"x")
    (root / "out.wav").symlink_to(tmp_path / "outside.wav")
    (root / "away").symlink_to(tmp_path / "root-evil")
    (root / "in.wav").symlink_to(root / "mix.wav")
    os.mkfifo(root / "pipe.wav")
    return root


@pytest.mark.parametrize("name", ["mix.wav", "./mix.wav", "sub/../mix.wav", "sub/a b.FLAC", "in.wav"])
def test_a_file_inside_is_found(root: Path, name: str) -> None:
    path = Jail(root).audio_file(name)
    assert path == (root / name).resolve()
    assert Jail(root).audio_file(str(root / name)) == path


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../outside.wav", "bad_path"),
        ("/etc/passwd", "bad_path"),
        ("{root}-evil/x.wav", "bad_path"),
        ("out.wav", "bad_path"),
        ("away/x.wav", "bad_path"),
        ("mix.wav\0.png", "bad_path"),
        ("x" * 5000, "bad_path"),
        ("nothing.wav", "bad_path"),
        ("sub", "bad_path"),
        ("pipe.wav", "bad_path"),
        ("mix.wav/x.wav", "bad_path"),
        ("", "bad_path"),
        ("notes.txt", "unsupported_format"),
    ],
)
def test_anything_else_is_refused(root: Path, name: str, code: str) -> None:
    with pytest.raises(OscError) as refusal:
        Jail(root).audio_file(name.replace("{root}", str(root)))
    assert refusal.value.code == code


@pytest.mark.parametrize("name", ["stems", "sub", "a/b/c", "."])
def test_a_folder_may_be_new(root: Path, name: str) -> None:
    assert Jail(root).folder(name) == (root / name).resolve()


@pytest.mark.parametrize(
    "name", ["..", "away", "away/new", "../new", "mix.wav", "mix.wav/new", "x" * 300, "a\0b"]
)
def test_a_folder_outside_is_refused(root: Path, name: str) -> None:
    with pytest.raises(OscError) as refusal:
        Jail(root).folder(name)
    assert refusal.value.code == "bad_path"


def test_a_root_that_is_a_link_is_its_target(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert Jail(link).audio_file("mix.wav") == root / "mix.wav"
