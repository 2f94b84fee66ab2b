"""Measure rendering: real-time factors, cold start on the demo, and the memory of a two-hour file.

Run it on a machine that does nothing else: python benchmarks/render.py [pace] [cold] [long]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from soundlasso.bridge.render import render
from soundlasso.models.separator import load_model

DEMO = Path(__file__).parents[1] / "examples" / "demo.flac"
RATE = 44100
EIGHT = ["drums", "bass guitar", "violin", "a person talking", "a dog barking", "rain", "piano", "a siren"]
PACE_SECONDS = 120
LONG_SECONDS = 2 * 3600
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    choices = {"pace": pace, "cold": cold, "long": long}
    parser.add_argument("what", nargs="*", help="which to run; all without")
    chosen = parser.parse_args().what or list(choices)
    unknown = set(chosen) - set(choices)
    if unknown:
        parser.error(f"no benchmark {sorted(unknown)[0]!r}; choose from {', '.join(choices)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            choices[name](Path(folder))


def tile_demo(folder: Path, seconds: int) -> Path:
    """Repeat the demo to a stereo file of 16 bits."""
    audio, _ = soundfile.read(DEMO, dtype="int16")
    path = folder / f"{seconds}.wav"
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        left = seconds * RATE
        while left > 0:
            file.write(audio[:left])
            left -= len(audio)
    return path


def pace(folder: Path) -> None:
    """Measure one and eight queries, stereo linked, files written, model loaded."""
    mix = tile_demo(folder, PACE_SECONDS)
    load_model("lariat")
    for queries in (EIGHT[:1], EIGHT):
        start, cpu = time.perf_counter(), time.process_time()
        render(mix, queries, folder / "pace", existing="overwrite")
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(
            f"{len(queries)} queries: real-time factor {wall / PACE_SECONDS:.4f}, "
            f"processor {cpu / PACE_SECONDS:.4f}"
        )


def cold(folder: Path) -> None:
    """Measure the whole command on the demo, from a fresh process to the files."""
    command = [
        sys.executable,
        "-m",
        "soundlasso",
        "render",
        str(DEMO),
        "-q",
        "drums",
        "-q",
        "a person talking",
    ]
    for attempt in ("first", "second"):
        start = time.perf_counter()
        subprocess.run([*command, "-o", str(folder / attempt)], check=True, capture_output=True)
        print(f"cold start on the demo, {attempt}: {time.perf_counter() - start:.2f} s")


def long(folder: Path) -> None:
    """Measure two hours of stereo in a process of its own, and its peak memory."""
    mix = tile_demo(folder, LONG_SECONDS)
    command = [sys.executable, "-m", "soundlasso", "render", str(mix), "-q", "drums", "--subtype", "PCM_16"]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--json", "-o", str(folder / "long")], check=True, stdout=subprocess.PIPE
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * MEMORY_UNIT
    told = json.loads(done.stdout)
    print(
        f"two hours: {time.perf_counter() - start:.0f} s, real-time factor {told['realtime_factor']:.4f}, "
        f"peak memory {peak / 1e6:.0f} MB, null {told['null_db']} dBFS"
    )


if __name__ == "__main__":
    main()
