"""Remix a song inside a board: python remix.py song.wav remix.wav.

Each sound goes through a chain of its own; together with the rest they make the song again.
"""

import sys

from pedalboard import Chorus, Compressor, Gain, PeakFilter, Reverb
from pedalboard.io import AudioFile

from soundlasso.bridge.board import Board
from soundlasso.bridge.stems import Stems
from soundlasso.dsp.errors import SoundlassoError


def remix_board() -> Board:
    """Return tighter drums, a wider guitar and a voice with some room."""
    stems = Stems(
        {
            "drums": [Compressor(threshold_db=-24, ratio=4), Gain(2)],
            "electric guitar": [PeakFilter(2500, gain_db=3), Chorus(mix=0.3)],
            "singing voice": [Reverb(room_size=0.3, wet_level=0.15)],
            "rest": [Gain(-3)],
        }
    )
    return Board([stems, Gain(-2)])


def main(song: str, remix: str) -> None:
    """Go block by block, as any pedalboard script does, and flush what is still inside at the end."""
    board = remix_board()
    with AudioFile(song) as source, AudioFile(remix, "w", source.samplerate, source.num_channels) as output:
        while source.tell() < source.frames:
            output.write(board(source.read(65536), source.samplerate, reset=False))
        output.write(board.flush())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (SoundlassoError, ValueError) as error:
        sys.exit(str(error))
