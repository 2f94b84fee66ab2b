"""A dummy JACK server of our own, for tests."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

from soundlasso.bridge.live import LiveError
from soundlasso.bridge.live_jack import JackClient

RATE = 48_000
PATIENCE_S = 30.0


class Server:
    """jackd with no sound card, 256 samples a period."""

    def __init__(self, folder: Path) -> None:
        self.name = f"soundlasso-test-{os.getpid()}"
        command = ["jackd", "-n", self.name, "-d", "dummy", "-r", str(RATE), "-p", "256"]
        self._log = (folder / "jackd.log").open("wb")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(LiveError):
                JackClient(1, name="probe", server=self.name).close()
                return
            time.sleep(0.05)
        raise AssertionError("the dummy JACK server does not answer")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self._log.close()
