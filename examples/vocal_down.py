"""Turn the singer down to practise singing: python vocal_down.py song.wav practice.wav."""

import sys

import pedalboard

from soundlasso.bridge.board import Board
from soundlasso.bridge.separate import Separate
from soundlasso.dsp.errors import SoundlassoError

VOICE_DB = -18.0


def practice_board() -> Board:
    """Return the mixture with its voice turned down, and no louder than before."""
    voice = Separate("singing voice", keep="rest", duck_db=VOICE_DB)
    return Board([voice, pedalboard.Limiter(threshold_db=-1.0)])


def main(song: str, practice: str) -> None:
    """Process a file, and leave the voice as it is where nobody sings."""
    practice_board().process_file(song, practice, overwrite=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except SoundlassoError as error:
        sys.exit(str(error))
