"""What became of a batch: a table to read, and a file for other programs, a line for each mix."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from soundlasso.bridge.audiofile_write import write_whole
from soundlasso.bridge.batch import Outcome
from soundlasso.bridge.naming import printable
from soundlasso.bridge.render_result import finite_db
from soundlasso.dsp.errors import SoundlassoError

ENDINGS = (".jsonl", ".csv")
_MOST_ROWS = 60


class BatchReport:
    """All outcomes of a batch, in the order in which they came.

    Parameters
    ----------
    target
        The file to write; None for none.

    Raises
    ------
    SoundlassoError
        The file's ending is neither ``.jsonl`` nor ``.csv``, or its folder is not there.
    """

    def __init__(self, target: Path | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        self._target = target
        self._peak_memory_mb: list[float] = []
        if target is not None and target.suffix.lower() not in ENDINGS:
            raise SoundlassoError(f"cannot write a summary as {str(target)!r}; end it in .jsonl or .csv")
        if target is not None and not os.path.isdir(target.parent):
            raise SoundlassoError(f"cannot write {str(target)!r}: there is no folder {str(target.parent)!r}")

    def add(self, outcome: Outcome) -> None:
        """Note what became of a mix."""
        row = {"mix": str(outcome.plan.mix.path), "state": "failed", "took_s": round(outcome.took_s, 3)}
        if outcome.result is not None:
            result = outcome.result
            row |= {
                "state": "skipped" if result.skipped else "rendered",
                "seconds": round(result.seconds, 6),
                "files": [str(part.path) for part in result.parts if part.path is not None],
                "silent": [
                    part.name or part.query for part in result.stems if finite_db(part.peak_db) <= -200
                ],
                "null_db": None if result.null_db is None else finite_db(result.null_db),
                "warnings": result.warnings,
            }
        self.rows.append({**row, "error": outcome.error or None})
        if outcome.peak_memory_mb is not None:
            self._peak_memory_mb.append(outcome.peak_memory_mb)

    def add_failure(self, mix: Path, error: object) -> None:
        """Note a mix that could not even be planned."""
        self.rows.append({"mix": str(mix), "state": "failed", "took_s": 0.0, "error": str(error)})

    def write(self) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        AudioFileError
            It cannot be written.
        """
        if self._target is None:
            return
        text = self._csv() if self._target.suffix.lower() == ".csv" else self._json_lines()
        write_whole(self._target, text.encode(errors="backslashreplace"))

    def _json_lines(self) -> str:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)

    def _csv(self) -> str:
        names = ("mix", "state", "seconds", "took_s", "null_db", "files", "silent", "warnings", "error")
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow({k: "; ".join(v) if isinstance(v, list) else v for k, v in row.items()})
        return text.getvalue()

    def table(self, wall_s: float, jobs: int) -> Table:
        """Return a table to read; of a long batch, its failures alone."""
        table = Table(title=self._title(wall_s, jobs), title_justify="left")
        for column, justify in (
            ("mix", "left"),
            ("state", "left"),
            ("length", "right"),
            ("took", "right"),
            ("", "left"),
        ):
            table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in self.rows:
            if len(self.rows) <= _MOST_ROWS or row["state"] == "failed":
                length = f"{row['seconds']:.1f} s" if "seconds" in row else ""
                cells = (printable(row["mix"]), row["state"], length, f"{row['took_s']:.1f} s", _remark(row))
                table.add_row(*map(Text, cells))  # in a plain string, [brackets] would be markup
        return table

    def _title(self, wall_s: float, jobs: int) -> str:
        states = [row["state"] for row in self.rows]
        counts = [f"{states.count(s)} {s}" for s in ("rendered", "skipped", "failed") if s in states]
        sound_s = sum(row["seconds"] for row in self.rows if row["state"] == "rendered")
        memory = f", {max(self._peak_memory_mb):.0f} MB each at most" if self._peak_memory_mb else ""
        plural = "process" if jobs == 1 else "processes"
        return (
            f"{len(states)} mixes: {', '.join(counts)}; {sound_s:.1f} s of sound in {wall_s:.1f} s, "
            f"{jobs} {plural}{memory}"
        )


def _remark(row: dict[str, Any]) -> str:
    if row["error"]:
        return printable(row["error"])
    silent = f"silent: {', '.join(row['silent'])}" if row["silent"] else ""
    return printable("; ".join([*row["warnings"], *([silent] if silent else [])]))
