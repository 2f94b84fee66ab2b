"""The Ardour scripts, in Ardour's own Lua, on a real session, with the real renderer and server.

Stems and rest are compared with what was recorded (1e-6 of full scale).
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.daw.kits import find_kit, install_kit
from tests.daw_ardour import LENGTH, POSITION, START, Session
from tests.osc_help import Ear, Running

TOLERANCE = 1e-6

pytestmark = pytest.mark.skipif(not shutil.which("ardour7-lua"), reason="ardour is not installed")
AUDIO = (0.1 * np.random.default_rng(11).standard_normal((2, 100_000))).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    folder = tmp_path / "it's $HOME `id`"  # what a shell would make something of
    folder.mkdir()
    return Session(folder, AUDIO)


def installed(folder: Path, port: int = 17770) -> Path:
    install_kit(find_kit("ardour"), folder, port)
    return folder


def test_the_stems_of_a_region_are_imported_where_it_is(session: Session, tmp_path: Path) -> None:
    script = installed(tmp_path / "scripts") / "soundlasso_separate.lua"
    lines = session.run(script, "{ sounds = [[drums,  a dog 'barking\" $(id)]], mute = true }")
    imported = [(int(line[1]), Path(line[2])) for line in lines if line[0] == "IMPORT"]
    assert [at for at, _ in imported] == [POSITION] * 3
    assert [path.name for _, path in imported] == [
        "take - drums.wav",
        "take - a dog 'barking_ $(id).wav",
        "take - rest.wav",
    ]
    stems = [soundfile.read(path, always_2d=True, dtype="float32")[0].T for _, path in imported]
    np.testing.assert_allclose(sum(stems), AUDIO[:, START : START + LENGTH], atol=TOLERANCE)
    assert ["MUTED", "true"] in lines
    assert ["PROGRESS"] in lines
    assert ["CLOSED"] in lines
    assert sorted(path.name for path in session.folder.glob("soundlasso*")) == ["soundlasso"]


def test_a_request_that_cannot_be_written_is_told(session: Session, tmp_path: Path) -> None:
    script = installed(tmp_path / "scripts") / "soundlasso_separate.lua"
    script.write_text(script.read_text().replace('"soundlasso-%d-%d.request"', '"none/%d-%d.request"'))
    lines = session.run(script, '{ sounds = "drums", mute = true }')
    (message,) = [line[1] for line in lines if line[0] == "MESSAGE"]
    assert message.startswith("Cannot write beside the session: ")
    assert ["MUTED", "false"] in lines


def test_cancelling_leaves_nothing(session: Session, tmp_path: Path) -> None:
    script = installed(tmp_path / "scripts") / "soundlasso_separate.lua"
    lines = session.run(script, '{ sounds = "drums", mute = true }', patience=0)
    assert ["MUTED", "false"] in lines
    assert not [line for line in lines if line[0] == "IMPORT"]
    assert not list(session.folder.glob("*.request"))


def test_a_live_slot_is_set_by_ardours_own_osc(server: Running, session: Session, tmp_path: Path) -> None:
    script = installed(tmp_path / "scripts", server.port) / "soundlasso_query.lua"
    session.run(script, '{ query = "a dög, barking", slot = 3.0, gain = -4.5, remove = true }')
    with Ear(server.port) as ear:
        ear.drain()
        assert ear.ask("/lasso/slot/3/query") == ("a dög, barking",)
        assert ear.ask("/lasso/slot/3/gain") == (-4.5,)
        assert ear.ask("/lasso/slot/3/mode") == ("remove",)
