"""What a Board costs over plain pedalboard, and how loud a change of query clicks.

python benchmarks/board.py [--turns 1500]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pedalboard
import scipy.signal
import torch

from soundlasso.bridge.board import Board
from soundlasso.bridge.separate import Separate

RATE = 44_100
FRAMES = (256, 1024, 8192)


def chain() -> list[pedalboard.Plugin]:
    """Return a usual channel strip."""
    return [
        pedalboard.HighpassFilter(80),
        pedalboard.Compressor(-20, 4),
        pedalboard.PeakFilter(2500, 3),
        pedalboard.Reverb(),
        pedalboard.Limiter(-1),
    ]


def seconds(call: Callable[[], object]) -> float:
    """Return the processor time of one call: on a busy machine, time on the wall says nothing."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


def overhead(frames: int, reset: bool, count: int) -> tuple[float, float]:
    """Return a native call's time, and the time that a Board adds, in seconds.

    Calls take turns, and each is compared with its neighbour, so that a machine whose speed wanders is
    no part of the result: what is added is the median difference.
    """
    audio = (0.1 * np.random.default_rng(0).standard_normal((2, frames))).astype(np.float32)
    native, board = pedalboard.Chain(chain()), Board(chain())
    native.process(audio, RATE)
    board.process(audio, RATE)
    turns = [
        (
            seconds(lambda: native.process(audio, RATE, reset=reset)),
            seconds(lambda: board.process(audio, RATE, reset=reset)),
        )
        for _ in range(count)
    ]
    plain, ours = np.array(turns[count // 10 :]).T  # the first ones warm up
    return float(np.median(plain)), float(np.median(ours - plain))


def click_db(hard: bool) -> float:
    """Return the peak above 4 kHz around a change of query, in dB of a 220 Hz tone's peak.

    `hard` switches the output from the one to the other query at once, for comparison.
    """
    tone = 0.5 * np.sin(2 * np.pi * 220 / RATE * np.arange(2 * RATE))
    audio = np.stack([tone, tone]).astype(np.float32)
    at, effect = RATE, Separate("a horn", gate=False)
    first = effect.process(audio[:, :at], RATE, reset=False)
    if hard:
        other = Separate("a violin", gate=False).process(audio, RATE, reset=False)
        heard = np.concatenate([first, other[:, first.shape[1] :]], axis=1)
    else:
        effect.query = "a violin"
        heard = np.concatenate([first, effect.process(audio[:, at:], RATE, reset=False)], axis=1)
    highpass = scipy.signal.butter(8, 4000, "highpass", fs=RATE, output="sos")
    high = scipy.signal.sosfilt(highpass, heard.astype(np.float64))[:, RATE // 2 :]
    return 20 * float(np.log10(np.abs(high).max() / np.abs(heard).max()))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1500, help="calls of each (default: %(default)s)")
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    for reset in (True, False):
        for frames in FRAMES:
            plain, added = overhead(frames, reset, turns)
            kind = "whole" if reset else "stream"
            print(
                f"{kind:>6} {frames:>5} frames: pedalboard {1e6 * plain:7.1f} us a call, "
                f"Board {1e6 * added:+6.1f} us ({added / plain:+.1%})"
            )
    print(f"query change: {click_db(False):.0f} dB above 4 kHz; a hard switch: {click_db(True):.0f} dB")


if __name__ == "__main__":
    main()
