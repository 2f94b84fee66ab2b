"""Render a request and report on it, in lines that any script can split at tabs.

The report, ``<request>.report``, grows while the script reads it:

=========  ===========================================================================
progress   a fraction, 0 to 1
stem       query and path
rest       the path of the mix without the stems
done       nothing; the last line
failed     the reason; the last line
=========  ===========================================================================

A script that deletes its request cancels the render.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from soundlasso.bridge.audiofile import AudioReader
from soundlasso.bridge.daw.request import Request, read_request
from soundlasso.bridge.events import Event
from soundlasso.bridge.naming import safe_name
from soundlasso.bridge.unforeseen import reason_of
from soundlasso.dsp.errors import AudioFileError, SoundlassoError

REPORT_ENDING = ".report"
MAX_FOLDERS = 10_000
_LEFT_CHANNEL = "%L"  # how Ardour ends the name of a stereo recording's first file


def run_request(path: Path, model: str = "lariat") -> bool:
    """Render what a request asks for and write its report; return whether all went well.

    Parameters
    ----------
    path
        The request.
    model
        Name of the model.

    Raises
    ------
    SoundlassoError
        There is no place for the report.
    """
    if not path.exists():  # the script gave up before we began
        raise SoundlassoError(f"cannot read the request {str(path)!r}: it is not there")
    report_path = path.with_name(path.name + REPORT_ENDING)
    try:
        with report_path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            return _report_on(path, model, _Report(file))
    except OSError as error:
        raise SoundlassoError(f"cannot report on {str(path)!r}: {error.strerror}") from error
    finally:
        if not path.exists():  # the script is gone, nobody reads it
            report_path.unlink(missing_ok=True)


def _report_on(path: Path, model: str, report: "_Report") -> bool:
    try:
        _render(read_request(path), model, report, _Deletion(path))
    except Exception as error:  # of any kind, or the script would wait for its last line in vain
        report.line("failed", reason_of(error, f"the request {str(path)!r}"))
        return False
    report.line("done")
    return True


class _Deletion:
    """Asks to stop when the request is gone."""

    def __init__(self, request: Path) -> None:
        self._request = request

    def is_set(self) -> bool:
        return not self._request.exists()


class _Report:
    """Writes lines that are whole when they are seen."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def line(self, *fields: str) -> None:
        self._file.write("\t".join(" ".join(field.splitlines()) for field in fields) + "\n")
        self._file.flush()

    def progress(self, event: Event) -> None:
        if event.event == "progress":
            self.line("progress", f"{event.fraction:.4f}")


def _render(request: Request, model: str, report: _Report, cancel: _Deletion) -> None:
    from soundlasso.bridge.render import render

    is_joined = len(request.paths) > 1  # then only what is wanted was joined
    with _folder(request) as folder, _one_file(request, folder) as mix:
        result = render(
            mix,
            request.queries,
            folder,
            model=model,
            start_s=0.0 if is_joined else request.start_s,
            length_s=None if is_joined else request.length_s,
            progress=report.progress,
            cancel=cancel,
        )
    for stem in result.stems:
        report.line("stem", str(stem.query), str(stem.path))
    if result.rest:
        report.line("rest", str(result.rest.path))


@contextlib.contextmanager
def _folder(request: Request) -> Iterator[Path]:
    """Make a folder for the stems, and leave none when nothing comes of it."""
    folder = _new_folder(request.out, _mix_name(request))
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # it holds something
            folder.rmdir()
        raise


def _new_folder(parent: Path, name: str) -> Path:
    """Make a folder that was not there: two renders of one recording keep out of each other's way."""
    for number in range(1, MAX_FOLDERS + 1):
        folder = parent / (name if number == 1 else f"{name} {number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder.absolute()  # the script has another working folder
    raise SoundlassoError(f"{str(parent)!r} holds {MAX_FOLDERS} folders named {name!r}; delete some")


def _mix_name(request: Request) -> str:
    return safe_name(request.paths[0].stem.removesuffix(_LEFT_CHANNEL))


@contextlib.contextmanager
def _one_file(request: Request, folder: Path) -> Iterator[Path]:
    """Give one file to render; files of one channel each are joined meanwhile."""
    if len(request.paths) == 1:
        yield request.paths[0].absolute()
        return
    joined = folder / f"{_mix_name(request)}.wav"
    try:
        join_channels(request.paths, joined, request.start_s, request.length_s)
        yield joined
    finally:
        joined.unlink(missing_ok=True)


def join_channels(
    paths: Sequence[Path], out: Path, start_s: float = 0.0, length_s: float | None = None
) -> None:
    """Join files of one channel each, or the same part of each, to one 32-bit float file.

    Parameters
    ----------
    paths
        The channels, in order.
    out
        The file to come.
    start_s, length_s
        The part.

    Raises
    ------
    AudioFileError
        A file cannot be read, has more channels, or another rate or length than the first.
    """
    import numpy as np

    from soundlasso.bridge.audiofile_format import OutputFormat
    from soundlasso.bridge.audiofile_write import AudioWriter

    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(AudioReader(path, start_s=start_s, length_s=length_s)) for path in paths
        ]
        _check_alike(readers)
        first = readers[0]
        form = OutputFormat("RF64", "FLOAT", first.info.sample_rate, len(paths), first.frames)
        with AudioWriter(out, form) as writer:
            for blocks in zip(*(reader.blocks() for reader in readers), strict=True):
                writer.write(np.concatenate(blocks))


def _check_alike(readers: Sequence[AudioReader]) -> None:
    first, *others = (reader.info for reader in readers)
    for info in (first, *others):
        if info.channels != 1:
            raise AudioFileError(f"{str(info.path)!r} has {info.channels} channels; one file for each has 1")
        if (info.sample_rate, info.frames) != (first.sample_rate, first.frames):
            raise AudioFileError(
                f"{str(info.path)!r} has {info.frames} samples at {info.sample_rate} Hz, {str(first.path)!r} "
                f"{first.frames} at {first.sample_rate}; the channels of one recording are alike"
            )
