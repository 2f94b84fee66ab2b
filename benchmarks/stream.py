"""Real-time factors of a stream: seconds of computing per second of audio, lower is better.

    python benchmarks/stream.py [--seconds 30] [--threads 1]

Prints wall time and processor time for: offline with one and eight queries, and live in blocks of
512 samples (always on one thread, as live audio runs).  Each figure is the best of three runs.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from soundlasso import SeparationStream

RATE, CHANNELS = 44100, 2
QUERIES = ["drums", "bass guitar", "violin", "a person talking", "a dog barking", "piano", "rain", "applause"]


def factor_of(work: Callable[[], None], seconds: float) -> tuple[float, float]:
    """Return the best wall and processor time of three runs, per second of audio."""
    wall, processor = [], []
    for _ in range(3):
        before = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - before[0]) / seconds)
        processor.append((time.process_time() - before[1]) / seconds)
    return min(wall), min(processor)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30, help="of audio (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, help="for offline; live runs on one (default: %(default)s)"
    )
    options = parser.parse_args()
    length = int(options.seconds * RATE)
    audio = (0.1 * np.random.default_rng(0).standard_normal((CHANNELS, length))).astype(np.float32)

    print(f"{'':34}  wall    processor  (per second of audio)")
    for label, count, block, threads in [
        ("offline, 1 query", 1, 10 * RATE, options.threads),
        ("offline, 8 queries", 8, 10 * RATE, options.threads),
        ("live, 512 samples, 1 query", 1, 512, 1),
        ("live, 512 samples, 8 queries", 8, 512, 1),
    ]:
        torch.set_num_threads(threads)
        stream = SeparationStream("lariat", QUERIES[:count], RATE, CHANNELS)

        def run(stream: SeparationStream = stream, block: int = block) -> None:
            for start in range(0, length, block):
                stream.process(audio[:, start : start + block])

        wall, processor = factor_of(run, options.seconds)
        print(f"{label + f', {threads} threads':34}  {wall:.4f}  {processor:.4f}")


if __name__ == "__main__":
    main()
