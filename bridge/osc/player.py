"""The process that plays a file through the slots in real time; it speaks JSON lines as the worker does.

==========  ====================================================================================
command     ``{"do": "start", "controls": {...}}``, ``{"do": "stop"}``
command     ``{"do": "control", "controls": {...}}``, with ``voices``, ``mix`` and the stream's settings
event       ``beat``, ``ready`` with ``latency_s`` when the model is loaded
event       ``{"event": "state", "state": "playing"}`` or ``"stopped"``
event       ``{"event": "levels", "slots": [[slot, rms, peak, presence], ...], "position_s": ...}``
event       ``{"event": "refused", "message": ...}``: a query or a setting that cannot be
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from soundlasso.bridge.osc.worker import BEAT_S, Line, own_output

if TYPE_CHECKING:
    from soundlasso.bridge.osc.mixer import Audio, LiveMixer, Voice

    Sink = Callable[[Audio], object]

BLOCK_SAMPLES = 1024
LEVELS_PERIOD_S = 0.1
MAX_BEHIND_S = 0.5  # further behind than this, the clock starts anew


class Player:
    """Plays one file, again and again, until it is stopped.

    Parameters
    ----------
    path
        The file to play.
    model
        The model's name.
    record
        A file for what is heard, or None.
    output
        Takes the events.
    """

    def __init__(self, path: Path, model: str, device: str, record: Path | None, output: TextIO) -> None:
        self._path = path
        self._model, self._device = model, device
        self._record = record
        self._output = output
        self._writing = threading.Lock()
        self._commands: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._is_playing = False

    def run(self, commands: TextIO) -> None:
        """Obey until the commands end."""
        for target, args in ((self._beat, ()), (self._read, (commands,))):
            threading.Thread(target=target, args=args, daemon=True).start()
        self._load()
        while (command := self._commands.get())["do"] != "end":
            if command["do"] == "start":
                command = self._play(command["controls"])
                if command["do"] == "end":
                    return

    def _beat(self) -> None:
        while True:
            self._write(event="beat")
            time.sleep(BEAT_S)

    def _read(self, commands: TextIO) -> None:
        for text in commands:
            self._commands.put(json.loads(text))
        if not self._is_playing:
            os._exit(0)  # loading a model takes long
        self._commands.put({"do": "end"})

    def _write(self, **line: Any) -> None:
        with self._writing:
            self._output.write(json.dumps(line) + "\n")
            self._output.flush()

    def _load(self) -> None:
        """Load the model; without one there is nothing to do but to say so and end."""
        from soundlasso.dsp.errors import SoundlassoError
        from soundlasso.models.separator import load_model

        try:
            self._separator = load_model(self._model, self._device)
            self._separator.settle_threads()
        except SoundlassoError as error:
            self._write(event="refused", message=str(error))
            sys.exit(1)
        self._write(event="ready")

    def _play(self, controls: Line) -> Line:
        """Play until told otherwise; return the command that ended it."""
        from soundlasso.dsp.errors import SoundlassoError

        self._is_playing = True
        try:
            mixer = self._mixer(controls)
            with self._recorder() as record:
                self._write(event="state", state="playing", latency_s=mixer.latency_samples / self._rate)
                return self._play_blocks(mixer, record)
        except SoundlassoError as error:
            self._write(event="refused", message=str(error))
            return {"do": "stop"}
        finally:
            self._is_playing = False
            self._write(event="state", state="stopped", latency_s=0.0)

    def _mixer(self, controls: Line) -> "LiveMixer":
        from soundlasso.bridge.audiofile import inspect_audio
        from soundlasso.bridge.osc.mixer import LiveMixer

        info = inspect_audio(self._path)
        self._rate = info.sample_rate
        return LiveMixer(
            self._separator,
            info.sample_rate,
            info.channels,
            _voices(controls),
            mix=controls["mix"],
            stereo=controls["stereo"],
            gate=controls["gate"],
            consistent=controls["consistent"],
            avoid=controls["avoid"],
        )

    @contextlib.contextmanager
    def _recorder(self) -> Iterator["Sink"]:
        """Give something that takes blocks; a recording appears whole when playing ends."""
        if self._record is None:
            yield _discard
            return
        import soundfile

        from soundlasso.bridge.audiofile import inspect_audio
        from soundlasso.bridge.audiofile_write import temporary_path

        part = temporary_path(self._record)
        channels = inspect_audio(self._path).channels
        try:
            # RF64, because nobody knows yet whether it will be longer than 4 GiB.
            with soundfile.SoundFile(part, "x", round(self._rate), channels, "FLOAT", format="RF64") as file:
                yield lambda block: file.write(block.T)
            os.replace(part, self._record)
        finally:
            part.unlink(missing_ok=True)

    def _play_blocks(self, mixer: "LiveMixer", record: "Sink") -> Line:
        clock = _Clock(self._rate)
        levels_s = time.monotonic()
        for block, position_s in self._blocks():
            command = self._obeyed(mixer)
            if command is not None:
                return command
            record(mixer.process(block))
            clock.wait(block.shape[1])
            if time.monotonic() - levels_s >= LEVELS_PERIOD_S:
                levels_s = time.monotonic()
                slots = [dataclasses.astuple(level) for level in mixer.levels()]
                self._write(event="levels", slots=slots, position_s=position_s)
        raise AssertionError("the file is played again and again")

    def _blocks(self) -> Iterator[tuple["Audio", float]]:
        from soundlasso.bridge.audiofile import AudioReader

        while True:
            position = 0
            with AudioReader(self._path) as reader:
                for block in reader.blocks(BLOCK_SAMPLES):
                    yield block, position / self._rate
                    position += block.shape[1]

    def _obeyed(self, mixer: "LiveMixer") -> Line | None:
        """Carry out what has been asked; return the command that ends playing, if there is one."""
        from soundlasso.dsp.errors import SoundlassoError

        while not self._commands.empty():
            command = self._commands.get()
            if command["do"] != "control":
                return command
            controls = command["controls"]
            stream = mixer.stream
            try:
                mixer.control(_voices(controls), controls["mix"])
                if stream.gate != controls["gate"]:
                    stream.gate = controls["gate"]
                if stream.consistent != controls["consistent"]:
                    stream.consistent = controls["consistent"]
                if stream.avoid != tuple(controls["avoid"]):
                    stream.avoid = controls["avoid"]
            except SoundlassoError as error:
                self._write(event="refused", message=str(error))
        return None


class _Clock:
    """Keeps blocks to the time at which they would be heard."""

    def __init__(self, sample_rate: float) -> None:
        self._rate = sample_rate
        self._due_s = time.monotonic()

    def wait(self, samples: int) -> None:
        """Wait until the block has been heard; after a long hold-up, go on from now."""
        self._due_s += samples / self._rate
        ahead_s = self._due_s - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
        elif ahead_s < -MAX_BEHIND_S:
            self._due_s = time.monotonic()


def _discard(block: "Audio") -> None:
    """Take a block and keep nothing."""


def _voices(controls: Line) -> "list[Voice]":
    from soundlasso.bridge.osc.mixer import Voice

    return [Voice(**voice) for voice in controls["voices"]]


def main() -> None:
    """Run a player on this process's standard input and output."""
    parser = argparse.ArgumentParser(prog="soundlasso-player")
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--file", required=True, type=Path)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    output = own_output()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes our input
    player = Player(arguments.file, arguments.model, arguments.device, arguments.record, output)
    with contextlib.suppress(BrokenPipeError):
        player.run(sys.stdin)
    os._exit(0)  # threads that wait for a dead server's pipe must not keep us


if __name__ == "__main__":
    main()
