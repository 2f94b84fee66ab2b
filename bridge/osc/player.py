"""The process that plays what goes in through the slots; it speaks JSON lines as the worker does.

==========  ====================================================================================
command     ``{"do": "start", "controls": {...}}``, ``{"do": "stop"}``
command     ``{"do": "control", "controls": {...}}``, with ``voices``, ``chain``, ``mix`` and settings;
            while it plays, ``start`` is the same
event       ``beat``, ``ready`` when the model is loaded
event       ``{"event": "state", "state": "playing", "sample_rate": ..., "latency_s": ...}`` or ``"stopped"``
event       ``{"event": "levels", "slots": [[slot, rms, peak, presence], ...]}``
event       ``{"event": "late", "blocks": ...}``: how many blocks of a live port came too late so far
event       ``{"event": "refused", "message": ...}``: a query or a setting that cannot be, a port that ends
==========  ====================================================================================
"""

import argparse
import contextlib
import dataclasses
import faulthandler
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from soundlasso.bridge.osc.live_source import LiveSource, parse_source
from soundlasso.bridge.osc.worker import BEAT_S, Line, own_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundlasso.bridge.osc.heard import Heard
    from soundlasso.bridge.osc.voice import Audio
    from soundlasso.models.separator import Separator

    Sink = Callable[[Audio], object]

LEVELS_PERIOD_S = 0.1


class Player:
    """Plays a file, again and again, or a live port, until it is stopped.

    Parameters
    ----------
    source
        What to play.
    model, device
        The model's name, and where it computes.
    record
        A file for what is heard, or None.
    output
        Takes the events.

    Attributes
    ----------
    commands
        What has been asked and not yet been carried out.
    """

    separator: "Separator"

    def __init__(
        self, source: LiveSource, model: str, device: str, record: Path | None, output: TextIO
    ) -> None:
        self.source = source
        self.commands: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._model, self._device = model, device
        self._record = record
        self._output = output
        self._writing = threading.Lock()
        self._is_playing = False
        self._levels_s = 0.0

    def run(self, commands: TextIO) -> None:
        """Obey until the commands end."""
        for target, args in ((self._beat, ()), (self._read, (commands,))):
            threading.Thread(target=target, args=args, daemon=True).start()
        self._load()
        while (command := self.commands.get())["do"] != "end":
            if command["do"] == "start":
                command = self._play(command["controls"])
                if command["do"] == "end":
                    return

    def _beat(self) -> None:
        while True:
            self.tell(event="beat")
            time.sleep(BEAT_S)

    def _read(self, commands: TextIO) -> None:
        for text in commands:
            self.commands.put(json.loads(text))
        if not self._is_playing:
            os._exit(0)  # loading a model takes long
        self.commands.put({"do": "end"})

    def tell(self, **line: Any) -> None:
        """Write an event."""
        with self._writing:
            self._output.write(json.dumps(line) + "\n")
            self._output.flush()

    def tell_state(self, state: str, sample_rate: float = 0.0, latency_samples: int = 0) -> None:
        """Tell whether it plays, how fast, and how late."""
        latency_s = latency_samples / sample_rate if sample_rate else 0.0
        self.tell(event="state", state=state, sample_rate=float(sample_rate), latency_s=latency_s)

    def _load(self) -> None:
        """Load the model; without one there is nothing to do but to say so and end."""
        from soundlasso.dsp.errors import SoundlassoError
        from soundlasso.models.separator import load_model

        try:
            self.separator = load_model(self._model, self._device)
            self.separator.settle_threads()
        except SoundlassoError as error:
            self.tell(event="refused", message=str(error))
            sys.exit(1)
        self.tell(event="ready")

    def _play(self, controls: Line) -> Line:
        """Play until told otherwise; return the command that ended it."""
        from soundlasso.bridge.osc.play_file import play_file
        from soundlasso.bridge.osc.play_port import play_port
        from soundlasso.dsp.errors import SoundlassoError

        self._is_playing = True
        play = play_file if self.source.kind == "file" else play_port
        try:
            return play(self, controls)
        except SoundlassoError as error:
            self.tell(event="refused", message=str(error))
            return {"do": "stop"}
        finally:
            self._is_playing = False
            self.tell_state("stopped")

    def tell_levels(self, heard: "Heard") -> None:
        """Tell the levels of the slots, ten times a second."""
        if time.monotonic() - self._levels_s >= LEVELS_PERIOD_S:
            self._levels_s = time.monotonic()
            self.tell(event="levels", slots=[dataclasses.astuple(level) for level in heard.levels()])

    @contextlib.contextmanager
    def recorder(self, sample_rate: float, channels: int) -> Iterator["Sink"]:
        """Give something that takes blocks; a recording appears whole when playing ends."""
        if self._record is None:
            yield _discard
            return
        import soundfile

        from soundlasso.bridge.audiofile_write import temporary_path

        part = temporary_path(self._record)
        try:
            # RF64, because nobody knows yet whether it will be longer than 4 GiB.
            with soundfile.SoundFile(part, "x", round(sample_rate), channels, "FLOAT", format="RF64") as file:
                yield lambda block: file.write(block.T)
            os.replace(part, self._record)
        finally:
            part.unlink(missing_ok=True)


def _discard(block: "Audio") -> None:
    """Take a block and keep nothing."""


def main() -> None:
    """Run a player on this process's standard input and output."""
    parser = argparse.ArgumentParser(prog="soundlasso-player")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--source", required=True)
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    output = own_output()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes our input
    source = parse_source(arguments.source, arguments.channels)
    player = Player(source, arguments.model, arguments.device, arguments.record, output)
    with contextlib.suppress(BrokenPipeError):
        player.run(sys.stdin)
    os._exit(0)  # threads that wait for a dead server's pipe must not keep us


if __name__ == "__main__":
    main()
