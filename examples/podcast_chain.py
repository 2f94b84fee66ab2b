"""Clean a podcast up: python podcast_chain.py raw.wav clean.wav.

The voice is kept, what is around it is turned down by 15 dB, and the usual chain follows.
"""

import sys

from pedalboard import Compressor, HighpassFilter, HighShelfFilter, Limiter

from soundlasso.bridge.board import Board
from soundlasso.bridge.separate import Separate
from soundlasso.dsp.errors import SoundlassoError


def podcast_board() -> Board:
    """Return the chain: rumble off, voice forward, even loudness, some air, no overs."""
    return Board(
        [
            HighpassFilter(80),
            Separate("a person speaking", duck_db=-15.0, avoid=["music", "traffic noise"]),
            Compressor(threshold_db=-22, ratio=3, attack_ms=5, release_ms=120),
            HighShelfFilter(8000, gain_db=2),
            Limiter(threshold_db=-1.5),
        ]
    )


def main(raw: str, clean: str) -> None:
    """Process a whole file; nothing is written if anything fails."""
    podcast_board().process_file(raw, clean, overwrite=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except SoundlassoError as error:
        sys.exit(str(error))
