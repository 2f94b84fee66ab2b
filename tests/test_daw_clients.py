"""The files for SuperCollider, Pure Data and Bitwig: run by sclang, Pd and Node against a real server.

In Node the functions of Bitwig's controller API are stand-ins, and only documented names may be used.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundlasso.bridge.daw.kits import find_kit, install_kit
from tests.osc_help import Ear, Running, running

PROGRAM_LIMIT_S = 60.0
RATE_HZ = 44100
HERE = Path(__file__).parent


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("daw")
    noise = 0.1 * np.random.default_rng(9).standard_normal((RATE_HZ, 2))
    soundfile.write(root / "a mix.wav", noise, RATE_HZ, subtype="FLOAT")
    with running(root=root) as made:
        yield made


def wait_until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PROGRAM_LIMIT_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def overwrites(ear: Ear) -> None:
    ear.ask("/lasso/existing", "overwrite", answer="/lasso/done")


# SuperCollider

SCLANG = """
var a = Soundlasso("127.0.0.1", {port});
a.onFail = {{ |command, code, message| ("FAIL" + command + code).postln }};
a.query("a dög", 5); a.gain(-4.5, 5); a.mute(true, 5); a.remove(5);
a.set("slot/5/nothing", 1);
a.get("slot/5/query", {{ |text| ("GOT" + text).postln }});
a.listen("mix", {{ |mix| ("MIX" + mix).postln }});
a.set("mix", 0.25);
a.ping({{ |seconds| ("PONG" + (seconds < 5)).postln }});
a.render("nowhere.wav", "drums", onFail: {{ |command, code| ("REFUSED" + code).postln }});
a.render("a mix.wav", "solo violin",
  onStem: {{ |query, path, slot| ("STEM" + slot + path).postln }},
  onProgress: {{ |fraction| ("PROGRESS" + (fraction > 0)).postln }},
  onFail: {{ |command, code, message| ("BROKEN" + code + message).postln; 1.exit }},
  onDone: {{ |files, seconds, null| ("DONE" + files + seconds + (null < -90)).postln; a.free; 0.exit }});
"""


@needs("sclang")
def test_the_class_renders_and_sets_slots(server: Running, ear: Ear, tmp_path: Path) -> None:
    overwrites(ear)
    install_kit(find_kit("supercollider"), tmp_path / "extensions", server.port)
    configuration = tmp_path / "conf.yaml"
    configuration.write_text(f"includePaths:\n    - {tmp_path / 'extensions'}\nexcludePaths: []\n")
    script = tmp_path / "test.scd"
    script.write_text(SCLANG.format(port=server.port))
    environment = os.environ | {
        "HOME": str(tmp_path),
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",  # which it needs where everybody is root
    }
    done = subprocess.run(
        ["sclang", "-D", "-l", str(configuration), str(script)],
        capture_output=True, text=True, timeout=PROGRAM_LIMIT_S, env=environment,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert "GOT a dög" in lines
    assert any(line.startswith("MIX ") for line in lines)  # the value of that moment
    assert "PONG true" in lines
    assert "FAIL /lasso/slot/5/nothing unknown_address" in lines
    assert "REFUSED bad_path" in lines
    assert "PROGRESS true" in lines
    assert "DONE 2 1.0 true" in lines
    stems = [line.split(" ", 2) for line in lines if line.startswith("STEM")]
    assert [slot for _, slot, _ in stems] == ["1", "0"]
    assert all(Path(path).is_file() for _, _, path in stems)
    ear.drain()
    assert ear.ask("/lasso/mix") == (0.25,)
    assert ear.ask("/lasso/slot/5/gain") == (-4.5,)
    assert ear.ask("/lasso/slot/5/mute") == (1,)
    assert ear.ask("/lasso/slot/5/mode") == ("remove",)


# Pure Data

PATCH = r"""#N canvas 0 0 450 300 10;
#X obj 10 10 loadbang;
#X obj 10 40 delay 300;
#X msg 10 70 query solo violin \, slot 6 a dog \, gain 6 -7.5 \, solo 6 1 \, mode 6 remove;
#X msg 10 100 ping \, address lasso slot 6 mute \, value 1 \, render nowhere.wav drums;
#X msg 10 130 render {mix} drums;
#X obj 10 160 soundlasso {port};
#X obj 10 190 print ALL;
#X obj 150 190 print PROGRESS;
#X obj 300 190 print STEM;
#X obj 10 220 route done;
#X obj 10 250 route /lasso/render;
#X msg 10 280 \; pd quit;
#X obj 100 40 t b b b;
#X connect 0 0 1 0;
#X connect 1 0 12 0;
#X connect 12 2 2 0;
#X connect 12 1 3 0;
#X connect 12 0 4 0;
#X connect 2 0 5 0;
#X connect 3 0 5 0;
#X connect 4 0 5 0;
#X connect 5 0 6 0;
#X connect 5 0 9 0;
#X connect 5 1 7 0;
#X connect 5 2 8 0;
#X connect 9 0 10 0;
#X connect 10 0 11 0;
"""


@needs("pd")
def test_the_object_renders_and_sets_slots(server: Running, ear: Ear, tmp_path: Path) -> None:
    overwrites(ear)
    install_kit(find_kit("puredata"), tmp_path, server.port)
    patch = tmp_path / "test.pd"
    patch.write_text(PATCH.format(port=server.port, mix=r"a\\ mix.wav".replace(r"\\", "\\")))
    done = subprocess.run(
        ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", "-path", str(tmp_path), "-open", str(patch)],
        capture_output=True, text=True, timeout=PROGRAM_LIMIT_S,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert "ALL: pong" in lines
    assert any(line.startswith("ALL: fail /lasso/render bad_path") for line in lines), lines
    assert any(line.startswith("ALL: done /lasso/render job") for line in lines)
    assert any(line.startswith("PROGRESS: ") for line in lines)
    assert any(line.startswith("STEM: symbol ") and "mix" in line for line in lines), lines
    assert ear.ask("/lasso/query") == ("solo violin",)
    assert ear.ask("/lasso/slot/6/query") == ("a dog",)
    assert ear.ask("/lasso/slot/6/gain") == (-7.5,)
    assert ear.ask("/lasso/slot/6/solo") == (1,)
    assert ear.ask("/lasso/slot/6/mode") == ("remove",)
    assert ear.ask("/lasso/slot/6/mute") == (1,)


@needs("pd")
def test_the_help_patch_opens_without_a_complaint(tmp_path: Path) -> None:
    install_kit(find_kit("puredata"), tmp_path)
    command = [
        "pd",
        "-nogui",
        "-noaudio",
        "-nomidi",
        "-stderr",
        "-open",
        str(tmp_path / "soundlasso-help.pd"),
    ]
    done = subprocess.run(
        [*command, "-send", "pd quit"], capture_output=True, text=True, timeout=PROGRAM_LIMIT_S
    )
    assert done.stderr == ""


# Bitwig


def node_has(package: str) -> bool:
    command = ["node", "-e", f"require.resolve('{package}')"]
    return shutil.which("node") is not None and subprocess.run(command, capture_output=True).returncode == 0


class Controller:
    """The controller script in the stand-in."""

    def __init__(self, folder: Path, port: int) -> None:
        install_kit(find_kit("bitwig"), folder, port)
        command = ["node", HERE / "daw_bitwig.js", folder / "soundlasso.control.js"]
        self.process = subprocess.Popen(
            [*map(str, command), str(HERE / "data" / "bitwig_api.json"), str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, code: str) -> str:
        """Run code in the stand-in; return what it gave, passing over what was told meanwhile."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("RAN"):
                return line[4:].strip()
        raise AssertionError(f"the script ended with {self.process.wait()}")


@pytest.fixture
def controller(server: Running, tmp_path: Path) -> Iterator[Controller]:
    made = Controller(tmp_path, server.port)
    yield made
    with contextlib.suppress(BrokenPipeError):
        made.process.communicate(timeout=PROGRAM_LIMIT_S)


@pytest.mark.skipif(not node_has("osc"), reason="Node or its package osc is not installed")
def test_the_controller_and_the_server_follow_each_other(
    server: Running, controller: Controller, ear: Ear
) -> None:
    controller.run('values["Slot 2/Sound"].set("drums"), values["Slot 2/Mute"].set(true)')
    wait_until(lambda: ear.ask("/lasso/slot/8/solo") == (0,) and ear.ask("/lasso/slot/2/query") == ("drums",))
    wait_until(lambda: ear.ask("/lasso/slot/2/mute") == (1,))
    controller.run('values["knob 3"].set(0.5)')
    wait_until(lambda: ear.ask("/lasso/slot/3/gain") == (-24.0,))
    before = controller.run("sent.length")
    ear.ask("/lasso/slot/3/gain", -4.3, answer="/lasso/done")
    ear.ask("/lasso/slot/2/query", "a dög", answer="/lasso/done")
    wait_until(lambda: controller.run('values["Slot 2/Sound"].get()') == '"a dög"')
    wait_until(lambda: controller.run('values["Slot 3/Gain"].get()') == "-4.3")
    ear.silence(0.5)
    assert controller.run("sent.length") == before  # nothing goes round in circles
    controller.run('values["Stream/Start"].press()')
    assert ear.ask("/lasso/slot/3/gain") == (pytest.approx(-4.3),)
