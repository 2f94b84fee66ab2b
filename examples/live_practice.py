"""Play along with any song that runs on this machine, without its guitar: python live_practice.py.

Start a JACK or PipeWire server, connect the player to `soundlasso:in_1` and `in_2`, and play. Type a
sound and press Enter to take that one out instead; an empty line ends it.
"""

import sys
from collections.abc import Iterable

import pedalboard

from soundlasso.bridge.board import Board
from soundlasso.bridge.live import LiveEngine, calm_python
from soundlasso.bridge.live_jack import JackClient
from soundlasso.bridge.separate import Separate
from soundlasso.dsp.errors import SoundlassoError


def practice(sounds: Iterable[str], server: str | None = None) -> None:
    """Take out one sound after the other, as they are named; each change is without a click."""
    gone = Separate("electric guitar", keep="rest")
    board = Board([gone, pedalboard.Limiter(threshold_db=-1.0)])
    with (
        JackClient(server=server, connect_hardware=True) as client,
        LiveEngine(board, client.sample_rate, 2) as engine,
        calm_python(),
    ):
        client.play(engine)
        print(f"{1000 * engine.latency_samples / client.sample_rate:.0f} ms late; without {gone.query}")
        for sound in (line.strip() for line in sounds):
            if not sound or client.ended.is_set():
                break
            gone.query = sound
            print(f"without {gone.query}; it was there {gone.presence:.0%}; {engine.late_blocks} late blocks")


if __name__ == "__main__":
    try:
        practice(sys.stdin)
    except SoundlassoError as error:
        sys.exit(str(error))
