"""What the recipe's command lines share: the cache option and a line of progress."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG_LINES = 20
"""Lines of progress in a log, where no bar can move."""


def cache_option(parser: argparse.ArgumentParser) -> None:
    """Add `--cache FOLDER` to a parser."""
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="where material is kept (default: $SOUNDLASSO_TRAINING_CACHE, else the user's cache folder)",
    )


def short_option(parser: argparse.ArgumentParser) -> None:
    """Add `--short` to a parser."""
    parser.add_argument(
        "--short", action="store_true",
        help="compute in 16 bits on the CPU as well; a third faster with AVX-512 BF16",
    )  # fmt: skip


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar of `total` steps; the value given is called once a step, with a line to print above it."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task, done = bar.add_task(what, total=total), 0

        def advance(line: str = "") -> None:
            nonlocal done
            done += 1
            if not bar.console.is_terminal and done * LOG_LINES % max(total, LOG_LINES) < LOG_LINES:
                line = f"{line}\n{what}: {done} of {total}".lstrip()  # a log shows no bar
            if line:
                bar.console.print(line, markup=False, highlight=False)
            bar.advance(task)

        yield advance
