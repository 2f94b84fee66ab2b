"""What came of a render."""

import dataclasses
import math
from pathlib import Path
from typing import Any

_SILENCE_DB = -200.0  # JSON has no infinity; 24 bits end at -138


@dataclasses.dataclass(frozen=True)
class StemResult:
    """One stem.

    Attributes
    ----------
    query
        What was asked for; None for the rest.
    path
        The file; None when the stem was only removed from the mix.
    peak_db
        The largest sample in dBFS; minus infinity for silence.
    loudness_lufs
        Integrated loudness after BS.1770-4; minus infinity for silence and below 400 ms.
    presence
        How surely the sound was there, 0 to 1, over the whole length; None for the rest.
    clipped_samples
        How many samples an integer format held at full scale.
    name
        What it is called, if not by its query.
    """

    query: str | None
    path: Path | None
    peak_db: float
    loudness_lufs: float
    presence: float | None
    clipped_samples: int = 0
    name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the command prints of a stem."""
        return {
            **({} if self.name is None else {"name": self.name}),
            "query": self.query,
            "path": None if self.path is None else str(self.path),
            "peak_db": finite_db(self.peak_db),
            "presence": self.presence if self.presence is None else round(self.presence, 4),
        }

    def to_record(self, folder: Path) -> dict[str, Any]:
        """Return what a manifest in ``folder`` keeps of a stem."""
        return {
            "query": self.query,
            "path": None if self.path is None else self.path.relative_to(folder).as_posix(),
            "peak_db": self.peak_db if math.isfinite(self.peak_db) else None,
            "loudness_lufs": self.loudness_lufs if math.isfinite(self.loudness_lufs) else None,
            "presence": self.presence,
            "clipped_samples": self.clipped_samples,
            "name": self.name,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], folder: Path) -> "StemResult":
        """Read what `to_record` wrote: its reverse."""
        return cls(
            query=record["query"],
            path=None if record["path"] is None else folder / record["path"],
            peak_db=_infinite(record["peak_db"]),
            loudness_lufs=_infinite(record["loudness_lufs"]),
            presence=record["presence"],
            clipped_samples=record["clipped_samples"],
            name=record.get("name"),
        )


@dataclasses.dataclass(frozen=True)
class RenderResult:
    """One mix, rendered.

    Attributes
    ----------
    mix
        The input.
    model
        The model's name.
    sample_rate, channels
        Of the files, the rate in Hz.
    seconds
        How much sound was rendered.
    realtime_factor
        The time it took, from opening the mix to the last file in its place, per second of sound.
    latency_samples
        How late the model's stream was; the files are aligned with the mix.
    stems
        One for each query, in order.
    rest
        The mix without the stems, if it was wanted.
    null_db
        The largest difference between the mix and the sum of stems and rest as written, in dBFS; minus
        infinity when there is none, None without a rest and where the format is lossy.
    manifest
        The record beside the stems.
    mixdown
        Stems and rest, summed after their chains, if a preset writes it.
    notes
        What else the user should know.
    skipped
        Whether an earlier render of the same was found and nothing was computed.
    presence_curves
        How surely each stem was there over time, at even steps; none when the render was skipped.
    start_s
        Where in the mix the rendered sound begins.
    """

    mix: Path
    model: str
    sample_rate: int
    channels: int
    seconds: float
    realtime_factor: float
    latency_samples: int
    stems: tuple[StemResult, ...]
    rest: StemResult | None
    null_db: float | None
    manifest: Path
    mixdown: StemResult | None = None
    notes: tuple[str, ...] = ()
    skipped: bool = False
    presence_curves: tuple[tuple[float, ...], ...] = dataclasses.field(default=(), repr=False)
    start_s: float = 0.0

    def _repr_html_(self) -> str:
        """Show players and pictures of mix, stems and rest, for notebooks."""
        from soundlasso.bridge.export.beside import sounds_of
        from soundlasso.bridge.export.page import make_fragment

        return make_fragment(self.mix.name, sounds_of(self), start_s=self.start_s)

    @property
    def parts(self) -> list[StemResult]:
        """The stems, the rest and the mix, as far as there are any."""
        return [*self.stems, *(part for part in (self.rest, self.mixdown) if part is not None)]

    @property
    def warnings(self) -> list[str]:
        """What the user should know: samples that an integer format had to clip, and the notes."""
        clipped = [
            f"{str(part.path)!r} is clipped at {part.clipped_samples} samples; FLOAT would keep them"
            for part in self.parts
            if part.clipped_samples
        ]
        return [*clipped, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``soundlasso render --json`` prints; silence is -200 dB there."""
        return {
            "mix": str(self.mix),
            "model": self.model,
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            "seconds": round(self.seconds, 6),
            "realtime_factor": round(self.realtime_factor, 5),
            "latency_samples": self.latency_samples,
            "stems": [stem.to_dict() for stem in self.stems],
            "rest": None if self.rest is None else str(self.rest.path),
            "null_db": None if self.null_db is None else finite_db(self.null_db),
            **({} if self.mixdown is None else {"mixdown": self.mixdown.to_dict()}),
        }

    def to_record(self) -> dict[str, Any]:
        """Return what the manifest keeps of the outcome, beside the request."""
        folder = self.manifest.parent
        return {
            "sample_rate": self.sample_rate,
            "start_s": self.start_s,
            "seconds": self.seconds,
            "realtime_factor": self.realtime_factor,
            "latency_samples": self.latency_samples,
            "stems": [stem.to_record(folder) for stem in self.stems],
            "rest": None if self.rest is None else self.rest.to_record(folder),
            "null_db": None if self.null_db is None else finite_db(self.null_db),
            "mixdown": None if self.mixdown is None else self.mixdown.to_record(folder),
            "notes": list(self.notes),
        }

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any], path: Path, mix: Path) -> "RenderResult":
        """Read the result of an earlier render from its manifest."""
        folder = path.parent
        rest, mixdown = manifest["rest"], manifest.get("mixdown")
        return cls(
            mix=mix,
            model=manifest["model"]["name"],
            sample_rate=manifest.get("sample_rate", manifest["mix"]["sample_rate"]),  # older ones lack it
            channels=manifest["mix"]["channels"],
            seconds=manifest["seconds"],
            realtime_factor=manifest["realtime_factor"],
            latency_samples=manifest["latency_samples"],
            stems=tuple(StemResult.from_record(stem, folder) for stem in manifest["stems"]),
            rest=None if rest is None else StemResult.from_record(rest, folder),
            null_db=_unrounded_silence(manifest["null_db"]),
            manifest=path,
            mixdown=None if mixdown is None else StemResult.from_record(mixdown, folder),
            notes=tuple(manifest.get("notes", ())),
            skipped=True,
            start_s=manifest.get("start_s", manifest["settings"]["start_s"]),
        )


def finite_db(level_db: float) -> float:
    """Round a level for JSON, and hold it at -200 dB, which stands for silence."""
    return round(max(level_db, _SILENCE_DB), 2)


def _unrounded_silence(level: float | None) -> float | None:
    """Undo what `finite_db` makes of minus infinity."""
    return -math.inf if level == _SILENCE_DB else level


def _infinite(level: float | None) -> float:
    return -math.inf if level is None else level
