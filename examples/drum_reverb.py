"""Put the drums alone into a hall: python drum_reverb.py song.wav hall.wav.

A send, as on a desk: the song stays as it is, and only its drums feed the reverb.
"""

import sys

import pedalboard

from soundlasso.bridge.board import Board
from soundlasso.bridge.mix import Mix
from soundlasso.bridge.separate import Separate
from soundlasso.dsp.errors import SoundlassoError

RING_OUT_S = 3.0


def hall_board(send_db: float = -6.0) -> Board:
    """Return the song beside a reverb that hears only its drums; the mix keeps them aligned."""
    hall = pedalboard.Reverb(room_size=0.9, wet_level=1.0, dry_level=0.0)
    drums = Board([Separate("drums", gain_db=send_db), pedalboard.HighpassFilter(150), hall])
    return Board([Mix([Board(), drums]), pedalboard.Limiter(threshold_db=-1.0)])


def main(song: str, hall: str) -> None:
    """Process a file and let the hall ring out."""
    hall_board().process_file(song, hall, tail_seconds=RING_OUT_S, overwrite=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except SoundlassoError as error:
        sys.exit(str(error))
