"""Play a file through the slots, again and again, at the pace at which it would be heard."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from soundlasso.bridge.audiofile import AudioReader, inspect_audio
from soundlasso.bridge.osc.heard import Heard
from soundlasso.bridge.osc.voice import Audio
from soundlasso.dsp.errors import SoundlassoError

if TYPE_CHECKING:
    from soundlasso.bridge.osc.player import Player
    from soundlasso.bridge.osc.worker import Line

BLOCK_SAMPLES = 1024
MAX_BEHIND_S = 0.5  # further behind than this, the clock starts anew


def play_file(player: "Player", controls: "Line") -> "Line":
    """Play until a command without controls comes; return it.

    Raises
    ------
    SoundlassoError
        The file cannot be read, or what is asked for cannot be.
    """
    path = Path(player.source.name)
    info = inspect_audio(path)
    clock = _Clock(info.sample_rate)
    with player.recorder(info.sample_rate, info.channels) as record:
        heard = Heard(player.separator, controls, info.sample_rate, record)
        heard.board.prepare(info.sample_rate, info.channels, BLOCK_SAMPLES)
        late = -1
        for block in _blocks(path):
            if heard.board.latency_samples != late:
                late = heard.board.latency_samples
                player.tell_state("playing", info.sample_rate, late)
            command = _obeyed(player, heard)
            if command is not None:
                return command
            heard.board.block(block)
            clock.wait(block.shape[1])
            player.tell_levels(heard)
    raise AssertionError("the file is played again and again")


def _blocks(path: Path) -> Iterator[Audio]:
    while True:
        with AudioReader(path) as reader:
            yield from reader.blocks(BLOCK_SAMPLES)


def _obeyed(player: "Player", heard: Heard) -> "Line | None":
    """Carry out what has been asked; return the command that ends playing, if there is one."""
    while not player.commands.empty():
        command = player.commands.get()
        if "controls" not in command:
            return command
        try:
            heard.control(command["controls"])
        except SoundlassoError as error:
            player.tell(event="refused", message=str(error))
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
