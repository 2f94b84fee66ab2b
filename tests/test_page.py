"""The page to hear and see a render, opened in a browser.

Tolerances: levels of what Opus holds to 0.5 dB; lengths in the browser to 10 ms.
"""

import base64
import contextlib
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.sync.client import connect

from soundlasso.bridge.export.listen import Outline, encode_opus
from soundlasso.bridge.export.notebook import Listen
from soundlasso.bridge.export.page import Sound, make_page
from soundlasso.dsp.errors import AudioError
from soundlasso.dsp.metrics import level_db
from tests.signals import Audio, blocks, noise, sine

RATE = 44100
LEVEL_DB = 0.5
BROWSER = next(
    (
        path
        for name in ("chromium-headless-shell", "chromium", "google-chrome")
        if (path := shutil.which(name))
    ),
    "",
)
needs_browser = pytest.mark.skipif(not BROWSER, reason="chromium is not installed")


def sound(name: str, audio: Audio, presence: tuple[float, ...] = ()) -> Sound:
    figures = {"peak": "<i>-6</i> dBFS"}
    return Sound(
        name, lambda: blocks(audio, 5000), len(audio), audio.shape[1], RATE, "#336699", figures, presence
    )


SOUNDS = [
    sound("mix & <all>", sine(440, RATE, RATE, level=0.8) + noise(2, RATE, level=0.02)),
    sound("\"quoted\" 'stem' </script>", sine(440, RATE, RATE, level=0.1), (0.0, 0.5, 1.0)),
    sound("silence", np.zeros((2, RATE), np.float32), (0.0,)),
]


def players(page: str) -> list[Audio]:
    found = re.findall(r'src="data:audio/ogg; codecs=opus;base64,([^"]+)"', page)
    files = (io.BytesIO(base64.b64decode(data)) for data in found)
    return [np.asarray(soundfile.read(file, always_2d=True)[0].T, np.float32) for file in files]


@pytest.fixture(scope="module")
def page() -> str:
    return make_page("a <b> & 'c'", SOUNDS, {"Mo<del": "lari&t"}, start_s=61.5, note="n<o>te")


def test_sounds_keep_their_level_to_each_other(page: str) -> None:
    mix, stem, silence = (np.sqrt(2) * np.sqrt(np.mean(played**2)) for played in players(page))
    assert level_db(mix) == pytest.approx(level_db(0.8), abs=LEVEL_DB)
    assert level_db(stem) == pytest.approx(level_db(0.1), abs=LEVEL_DB)
    assert silence < 1e-9


def test_all_are_turned_down_together_when_one_would_clip() -> None:
    page = make_page("loud", [sound("a", sine(440, RATE, RATE, level=2.0)), SOUNDS[1]], {})
    loud, soft = (np.sqrt(2) * np.sqrt(np.mean(played**2)) for played in players(page))
    assert loud / soft == pytest.approx(20, rel=0.05)
    assert np.abs(players(page)[0]).max() < 1.05
    assert re.search(r"All sounds are 6\.\d dB down", page)


def test_every_text_is_escaped(page: str) -> None:
    assert "<all>" not in page and "mix &amp; &lt;all&gt;" in page
    assert page.count("</script>") == 1
    assert "Mo<del" not in page and "lari&amp;t" in page and "n&lt;o&gt;te" in page
    assert "1:01.5" in page and "1:02.5" in page


def test_nothing_comes_from_outside(page: str) -> None:
    assert not re.search(
        r"""(?:src|href|action|data)=["'](?!data:)(?!sound\d)""", page.replace("data-for", "for")
    )
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("rate", "frames"), [(8000, 1), (44100, 70_000), (96000, 100_001)])
def test_opus_is_as_long_as_the_sound(channels: int, rate: int, frames: int) -> None:
    audio = noise(channels, frames)
    data = encode_opus(blocks(audio, 4096), channels, rate, frames / rate, 1.0)
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, info.channels) == (48000, min(channels, 2) if channels < 3 else 1)
    assert abs(info.frames - frames * 48000 / rate) <= 2


@pytest.mark.parametrize("size", [1, 17, 1000, 100_000])
def test_an_outline_is_the_same_for_any_block(size: int) -> None:
    audio = noise(2, 12_345)
    outline = Outline(12_345)
    for block in blocks(audio, size):
        outline.take(block)
    edges = [np.flatnonzero(np.arange(12_345) * 900 // 12_345 == point) for point in (0, 450, 899)]
    assert [outline.high[point] for point in (0, 450, 899)] == [max(0, audio[:, at].max()) for at in edges]
    assert [outline.low[point] for point in (0, 450, 899)] == [min(0, audio[:, at].min()) for at in edges]
    assert outline.peak == np.abs(audio).max()


# In a browser.

ASK = """
(async () => {
  const all = [...document.querySelectorAll("audio")];
  const once = (one, event) => new Promise((done) => one.addEventListener(event, done, {once: true}));
  await Promise.all(all.map((one) => one.readyState >= 1 || one.error || once(one, "loadedmetadata")));
  await all[0].play();
  all[0].currentTime = 0.5;
  await once(all[0], "seeked");
  await all[1].play();
  const every = (what, look) => [...document.querySelectorAll(what)].map(look);
  return {
    durations: all.map((one) => one.duration),
    errors: all.map((one) => one.error && one.error.message),
    controls: all.map((one) => one.controls && one.getBoundingClientRect().width > 100),
    labels: all.map((one) => document.getElementById(one.getAttribute("aria-labelledby")).textContent),
    firstPaused: all[0].paused,
    secondAt: all[1].currentTime,
    heights: every(".outline path", (one) => one.getBoundingClientRect().height),
    pictures: every("img", (one) => one.naturalWidth > 10 && one.alt.length > 5),
    overflow: document.documentElement.scrollWidth > window.innerWidth,
  };
})()
"""


class Browser:
    """A browser without a window, asked over its own protocol on this machine's loopback."""

    def __init__(self, folder: Path, width: int) -> None:
        command = [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio",
            "--autoplay-policy=no-user-gesture-required", f"--window-size={width},900",
            f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank",
        ]  # fmt: skip
        self._running = contextlib.ExitStack()
        process = self._running.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        self._running.callback(process.terminate)
        assert process.stderr is not None
        address = next(line.split()[-1] for line in process.stderr if "DevTools listening" in line)
        self._socket = self._running.enter_context(connect(address, max_size=None, proxy=None))
        self._count = 0
        self._events: list[str] = []
        self._session: str | None = None
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]

    def _call(self, method: str, **parameters: Any) -> Any:
        self._count += 1
        session = {} if self._session is None else {"sessionId": self._session}
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters, **session}))
        while True:
            message = self._next()
            if message.get("id") == self._count:
                assert "error" not in message, message
                return message["result"]

    def _next(self) -> Any:
        message = json.loads(self._socket.recv(timeout=60))
        self._events.append(message.get("method", ""))
        return message

    def open(self, path: Path) -> None:
        self._call("Page.enable")
        self._call("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self._events:
            self._next()

    def ask(self, script: str) -> Any:
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def close(self) -> None:
        self._running.close()


def open_in_browser(tmp_path: Path, text: str, width: int) -> dict[str, Any]:
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    with contextlib.closing(Browser(tmp_path / "profile", width)) as browser:
        browser.open(path)
        answer: dict[str, Any] = browser.ask(ASK)
    return answer


@needs_browser
@pytest.mark.parametrize("width", [1000, 500])
def test_the_page_opens_and_plays_in_a_browser(tmp_path: Path, page: str, width: int) -> None:
    told = open_in_browser(tmp_path, page, width)
    assert told["errors"] == [None] * 3
    assert told["durations"] == pytest.approx([1.0] * 3, abs=0.01)
    assert told["controls"] == [True] * 3
    assert [label.strip() for label in told["labels"]] == [SOUNDS[0].name, SOUNDS[1].name, "silence (silent)"]
    assert told["firstPaused"] and told["secondAt"] >= 0.45  # one at a time, at the same moment
    assert told["heights"][0] > 10 * told["heights"][2]
    assert told["pictures"] == [True] * 3
    assert not told["overflow"]


def test_arrays_show_themselves_in_a_notebook() -> None:
    stems = {"drums": sine(440, RATE, RATE), "rest <1>": noise(1, 1000)[0]}
    shown = Listen(stems, RATE)._repr_html_()
    inside = html.unescape(shown.split('srcdoc="')[1].split('"')[0])
    assert len(players(inside)) == 2
    assert "rest &lt;1&gt;" in inside and "\u2212" not in repr(Listen(stems, RATE))


@pytest.mark.parametrize("wrong", [np.zeros((2, 0)), np.zeros((1, 2, 3)), np.full((1, 5), np.nan)])
def test_what_is_no_sound_is_refused(wrong: Any) -> None:
    with pytest.raises(AudioError, match="cannot show 'x'"):
        Listen({"x": wrong}, RATE)
