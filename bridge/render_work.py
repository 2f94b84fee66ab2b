"""A plan of a render being carried out: from disk to disk, in the memory of a few blocks."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundlasso.bridge.audiofile import AudioReader
from soundlasso.bridge.audiofile_write import AudioWriter, check_space, publish, remove_forgotten
from soundlasso.bridge.automation import automated
from soundlasso.bridge.events import Cancel, Event, OnEvent, Pace, Stage
from soundlasso.bridge.export.beside import (
    PresenceCurves,
    make_broadcast,
    make_session,
    session_notes,
    write_report,
)
from soundlasso.bridge.export.session import removal, write_session
from soundlasso.bridge.export.source_notes import SourceNotes, read_source_notes
from soundlasso.bridge.manifest import (
    describe_request,
    find_trusted,
    hash_file,
    listed_sizes,
    write_manifest,
)
from soundlasso.bridge.render_existing import check_existing
from soundlasso.bridge.render_plan import REST, RenderPlan
from soundlasso.bridge.render_result import RenderResult
from soundlasso.bridge.render_tracks import Audio, StemStream, Track, Tracks, aligned
from soundlasso.dsp.errors import AudioFileError, Cancelled

if TYPE_CHECKING:
    from soundlasso.bridge.presets.tracks import PresetTracks
    from soundlasso.models.separator import Separator

_BLOCK_SAMPLES = 32768


def run_plan(
    plan: RenderPlan, *, progress: OnEvent | None = None, cancel: Cancel | None = None
) -> RenderResult:
    """Do what a plan says; parameters, result and errors as of `soundlasso.bridge.render.render`."""
    return _Run(plan, progress or _ignore, cancel).run()


def _ignore(event: Event) -> None:
    """Tell nobody."""


class _Run:
    """One mix being rendered."""

    def __init__(self, plan: RenderPlan, progress: OnEvent, cancel: Cancel | None) -> None:
        self._plan = plan
        self._settings = plan.settings
        self._progress = progress
        self._cancel = cancel
        self._mix = str(plan.mix.path)
        self._timings: dict[str, float] = {}
        self._notes = SourceNotes()
        self._presence = PresenceCurves()
        self._earlier: dict[Path, int | None] = {}

    def run(self) -> RenderResult:
        """Render, unless the same was rendered before."""
        model = self._load_model()
        with self._stage("read"):
            request = describe_request(self._plan, hash_file(self._plan.mix.path), model)
        trusted = find_trusted(self._plan, request) if self._settings.existing == "skip" else None
        if trusted is not None:
            self._progress(Event("skipped", self._mix))
            return RenderResult.from_manifest(trusted, self._plan.manifest, self._plan.mix.path)
        check_existing(self._plan, anew=True)  # before minutes of work, not after them
        check_space(self._plan.space)
        self._notes = read_source_notes(self._plan.mix)
        started_s = time.monotonic()
        with contextlib.ExitStack() as unfinished:
            tracks, latency_samples = self._separate(model, unfinished)
            self._publish(tracks)
            seconds = self._plan.frames / self._plan.mix.sample_rate
            result = self._result(model, tracks, latency_samples, (time.monotonic() - started_s) / seconds)
            self._draw(unfinished)
            self._report(unfinished, result)
            linked = self._write_sessions(unfinished, result)
            self._record(request, result, linked)
            unfinished.pop_all()  # from here on the files stay
        for message in result.warnings:
            self._progress(Event("warning", self._mix, message=message))
        self._progress(Event("done", self._mix))
        return result

    def _load_model(self) -> "Separator":
        from soundlasso.models.separator import load_model

        with self._stage("load"):
            return load_model(self._settings.model, self._settings.device)

    def _separate(
        self, model: "Separator", unfinished: contextlib.ExitStack
    ) -> tuple["Tracks | PresetTracks", int]:
        plan = self._plan
        stream = self._open_stream(model)
        pace = Pace(plan.frames / plan.mix.sample_rate)
        done = 0
        with self._open_mix() as reader, self._stage("separate"):
            tracks = self._open_tracks(unfinished)
            blocks = self._automated(stream, reader.blocks(_BLOCK_SAMPLES))
            for mix, stems in aligned(stream, blocks):
                self._check_cancelled()
                tracks.take(mix, stems)
                self._presence.take(stream.take_presence())
                done += mix.shape[1]
                if done:
                    self._progress(pace.event(self._mix, done / plan.frames))
            tracks.finish()
        self._presence.end(plan.frames / plan.mix.sample_rate, stream.frame_rate)
        return tracks, stream.latency_samples

    def _open_mix(self) -> AudioReader:
        plan, settings = self._plan, self._settings
        reader = AudioReader(plan.mix.path, start_s=settings.start_s, length_s=settings.length_s)
        if (reader.info, reader.frames) != (plan.mix, plan.frames):
            reader.close()
            raise AudioFileError(f"{self._mix!r} changed since it was planned; try again when it is finished")
        return reader

    def _open_stream(self, model: "Separator") -> StemStream:
        settings = self._settings
        if settings.preset is not None:
            from soundlasso.bridge.presets.hearing import PresetStream

            return PresetStream(settings.preset, model, self._plan.mix.sample_rate, self._plan.mix.channels)
        from soundlasso.models.stream import SeparationStream

        return SeparationStream(
            model,
            self._plan.queries,
            self._plan.mix.sample_rate,
            self._plan.mix.channels,
            stereo=settings.stereo,
            gate=settings.gate,
            gate_threshold=settings.gate_threshold,
            consistent=settings.consistent or (settings.remove and len(self._plan.queries) > 1),
            avoid=settings.avoid,
        )

    def _automated(self, stream: StemStream, blocks: Iterable[Audio]) -> Iterable[Audio]:
        if not self._settings.changes:
            return blocks
        from soundlasso.models.stream import SeparationStream

        assert isinstance(stream, SeparationStream)  # a preset has no changes
        return automated(stream, blocks, self._settings.changes, self._plan.mix.sample_rate)

    def _open_tracks(self, unfinished: contextlib.ExitStack) -> "Tracks | PresetTracks":
        def track(query: str | None, path: Path | None, name: str | None = None) -> Track:
            writer = None
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_forgotten(path.parent)
                writer = AudioWriter(
                    path,
                    self._plan.output,
                    overwrite=self._settings.existing != "refuse",
                    broadcast=make_broadcast(self._plan, self._notes, name or query or REST),
                )
                unfinished.callback(writer.withdraw)
            return Track(query, writer, self._plan.output, name)

        try:
            if self._settings.preset is not None:
                from soundlasso.bridge.presets.rendering import open_preset_tracks

                return open_preset_tracks(self._plan, track, unfinished)
            stems = [
                track(query, path) for query, path in zip(self._plan.queries, self._plan.stems, strict=True)
            ]
            return Tracks(stems, track(None, self._plan.rest) if self._plan.rest else None)
        except OSError as error:
            raise AudioFileError(f"cannot make {error.filename!r}: {error.strerror}") from error

    def _publish(self, tracks: "Tracks | PresetTracks") -> None:
        with self._stage("write"):
            self._check_cancelled()
            if self._settings.existing == "skip":  # somebody may have edited a stem meanwhile
                check_existing(self._plan, anew=True)
            self._earlier = listed_sizes(self._plan.manifest)
            # An old record must not vouch for new files, should this end between two of them.
            self._plan.manifest.unlink(missing_ok=True)
            for track in tracks.tracks:
                track.stamp()
            publish(tracks.writers)
        for track in tracks.tracks:
            if track.writer is not None:
                self._progress(Event("stem", self._mix, query=track.query, path=str(track.writer.path)))

    def _result(
        self,
        model: "Separator",
        tracks: "Tracks | PresetTracks",
        latency_samples: int,
        realtime_factor: float,
    ) -> RenderResult:
        stems, rest = tracks.results(self._presence.means())
        return RenderResult(
            mix=self._plan.mix.path,
            model=model.name,
            sample_rate=self._plan.output.sample_rate,
            channels=self._plan.mix.channels,
            seconds=self._plan.frames / self._plan.mix.sample_rate,
            realtime_factor=realtime_factor,
            latency_samples=latency_samples,
            stems=stems,
            rest=rest,
            null_db=tracks.null_db,
            manifest=self._plan.manifest,
            mixdown=tracks.mixdown,
            notes=(*tracks.notes, *session_notes(self._plan)),
            presence_curves=self._presence.curves(),
            start_s=self._plan.start / self._plan.mix.sample_rate,
        )

    def _draw(self, unfinished: contextlib.ExitStack) -> None:
        if self._plan.picture is None:
            return
        from soundlasso.bridge.picture import draw_render

        if not self._plan.picture.exists():
            unfinished.callback(self._plan.picture.unlink, missing_ok=True)
        with self._stage("picture"):
            draw_render(self._plan)

    def _report(self, unfinished: contextlib.ExitStack, result: RenderResult) -> None:
        if self._plan.report is None:
            return
        if not self._plan.report.exists():
            unfinished.callback(self._plan.report.unlink, missing_ok=True)
        with self._stage("report"):
            write_report(self._plan, result, self._plan.report)

    def _write_sessions(self, unfinished: contextlib.ExitStack, result: RenderResult) -> list[Path]:
        """Write what DAWs open; return all files that came of it."""
        if not self._plan.sessions:
            return []
        session = make_session(self._plan, result, self._notes)
        written: list[Path] = []
        with self._stage("session"):
            for kind, path in self._plan.sessions.items():
                unfinished.callback(removal(kind, path))
                written += write_session(session, kind, path)
        return written

    def _record(self, request: dict[str, Any], result: RenderResult, sessions: Sequence[Path]) -> None:
        """Write the manifest, last of all; sessions stand apart, because their DAW changes them."""
        folder = self._plan.manifest.parent
        sizes = {path: path.stat().st_size for path in (*self._plan.files[:-1], *sessions)}
        named = {path.relative_to(folder).as_posix(): size for path, size in sizes.items()}
        written = {path.relative_to(folder).as_posix(): sizes[path] for path in sessions}
        files = named | dict.fromkeys(written)
        # Without these, what other queries gave would be taken for mixes when the folder is searched again.
        left = {p.relative_to(folder).as_posix(): size for p, size in self._earlier.items() if p.is_file()}
        earlier = {name: left[name] for name in sorted(left.keys() - files.keys())}
        outcome = {"files": files, "sessions": written, "earlier": earlier, "timings": self._timings}
        write_manifest(self._plan.manifest, request, {**result.to_record(), **outcome})

    def _check_cancelled(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled(f"rendering {self._mix!r} was cancelled; nothing of it is left")

    @contextlib.contextmanager
    def _stage(self, stage: Stage) -> Iterator[None]:
        self._progress(Event("stage", self._mix, stage=stage))
        started_s = time.monotonic()
        yield
        self._timings[f"{stage}_s"] = round(time.monotonic() - started_s, 4)
