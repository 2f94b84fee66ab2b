"""Get the recordings: download the packages, unpack, decode and cache them, and collect their licences.

`python -m soundlasso.models.training.corpus` needs a Debian system (apt-get, dpkg), ffmpeg and 10 GB; it
installs nothing.  It may be stopped at any time and goes on where it stopped.
"""

import argparse
import shutil
import subprocess
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import soundfile
import soxr

from soundlasso.dsp.errors import AudioFileError, SoundlassoError
from soundlasso.models.training.options import cache_option, progress
from soundlasso.models.training.recordings import Recording, packages, recordings
from soundlasso.models.training.storage import SAMPLE_RATE, Cache, Clip, has_shelf, to_int16, write_shelf

MAX_SECONDS = 60.0
"""Longer recordings (music, ambiences) are cut here: variety is worth more than length."""


def fetch(package: str, cache: Cache) -> Path:
    """Download and unpack one Debian package without installing it; return its folder."""
    folder = cache.room("packages") / package
    if folder.exists():
        return folder
    debs = cache.room("debs")
    if not list(debs.glob(f"{package}_*.deb")):
        _command(["apt-get", "download", "-q", package], debs)
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    _command(["dpkg", "-x", str(next(debs.glob(f"{package}_*.deb"))), str(partial)], debs)
    partial.rename(folder)
    return folder


def _command(arguments: list[str], folder: Path) -> None:
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SoundlassoError(f"{' '.join(arguments[:2])} failed with {done.stderr.strip()[-300:]!r}")


def keep_licence(package: str, cache: Cache) -> None:
    """Copy the package's copyright file beside those of the others."""
    source = cache.root / "packages" / package / "usr/share/doc" / package / "copyright"
    if not source.exists():
        raise SoundlassoError(f"package {package!r} has no copyright file; use no material without a licence")
    shutil.copyfile(source, cache.room("licences") / f"{package}.txt")


def read_mono(path: Path) -> np.ndarray:
    """Decode a file to mono float32 at 44.1 kHz, cut at MAX_SECONDS.

    Shape: (samples,).
    """
    if path.suffix == ".g722":
        return _decode_with_ffmpeg(path, ["-f", "g722"])
    try:
        with soundfile.SoundFile(path) as file:
            audio, rate = (
                file.read(int(MAX_SECONDS * file.samplerate), "float32", always_2d=True),
                file.samplerate,
            )
    except soundfile.LibsndfileError:
        return _decode_with_ffmpeg(path, [])
    return np.asarray(soxr.resample(audio.mean(1), rate, SAMPLE_RATE), np.float32)


def _decode_with_ffmpeg(path: Path, form: list[str]) -> np.ndarray:
    arguments = ["ffmpeg", "-v", "error", *form, "-i", str(path), "-t", str(MAX_SECONDS)]
    done = subprocess.run(
        [*arguments, "-f", "f32le", "-ac", "1", "-ar", str(SAMPLE_RATE), "-"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise AudioFileError(f"cannot decode {path.name!r}: {done.stderr.decode(errors='replace').strip()!r}")
    return np.frombuffer(done.stdout, "<f4")


def _open_archives(folder: Path, rows: list[Recording]) -> None:
    """Unpack archives that hold recordings, each into a folder beside it named `ARCHIVE!`."""
    for archive in {row.path.split("!/")[0] for row in rows if "!/" in row.path}:
        target = folder / f"{archive}!"
        if not target.exists():
            partial = folder / f"{archive}.partial"
            with zipfile.ZipFile(folder / archive) as file:
                file.extractall(partial)
            partial.rename(target)


def _clips(folder: Path, rows: list[Recording], failed: list[str]) -> Iterator[tuple[Clip, np.ndarray]]:
    for row in rows:
        try:
            audio = to_int16(read_mono(folder / row.path))
        except AudioFileError:
            failed.append(row.path)
            continue
        if audio is not None:
            yield Clip(0, 0, row.sound, row.source, row.split, bandwidth_hz=row.bandwidth_hz), audio


def decode(package: str, cache: Cache, rows: list[Recording]) -> tuple[int, list[str]]:
    """Fetch one package and shelve its recordings; return the clips kept and the files that failed."""
    folder = fetch(package, cache)
    keep_licence(package, cache)
    shelf = cache.room("recordings") / package
    if not rows or has_shelf(shelf):
        return 0, []
    _open_archives(folder, rows)
    failed: list[str] = []
    return write_shelf(shelf, _clips(folder, rows, failed)), failed


def main() -> None:
    """Fetch and decode every package, a few at a time."""
    parser = argparse.ArgumentParser(prog="corpus", description=__doc__)
    cache_option(parser)
    parser.add_argument("--jobs", type=int, default=2, help="packages at once (default: 2)")
    options = parser.parse_args()
    cache = Cache.open(options.cache)
    rows: dict[str, list[Recording]] = defaultdict(list)
    for row in recordings():
        rows[row.package].append(row)
    with ProcessPoolExecutor(options.jobs) as pool, progress("packages", len(packages())) as advance:
        work = {pool.submit(decode, name, cache, rows[name]): name for name in packages()}
        for done in as_completed(work):
            kept, failed = done.result()
            advance(
                f"{work[done]}: {kept} new clips"
                + (f", {len(failed)} unreadable: {failed[:3]}" if failed else "")
            )


if __name__ == "__main__":
    main()
