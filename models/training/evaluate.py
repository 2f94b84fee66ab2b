"""Measure weights on the test lists, beside doing nothing and beside the ideal gain of every band.

`python -m soundlasso.models.training.evaluate WEIGHTS...` prints a table for each file, and writes every
single figure with `--rows`.  It runs the same stream as users do, so the gate is measured too.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soundlasso.dsp.bands import N_BINS, BandMap
from soundlasso.dsp.metrics import rms_db, si_sdr_improvement
from soundlasso.dsp.stft import istft, stft
from soundlasso.models.checkpoint import load_safetensors
from soundlasso.models.engine import Asked
from soundlasso.models.frames import LEARNED_SHARE, FrameEngine
from soundlasso.models.lariat import build
from soundlasso.models.lariat_folded import FoldedLariat
from soundlasso.models.text import MiniLM, TextEncoder
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.examples import HOP_SAMPLES
from soundlasso.models.training.lists import TestMixture, test_lists
from soundlasso.models.training.options import cache_option, progress
from soundlasso.models.training.storage import SAMPLE_RATE, Cache

CLIP_DB = (-20.0, 30.0)
"""Improvements beyond these count as these, so that no single mixture decides a mean."""
GONE_DB = -20.0
"""A present sound whose gated stem is this far under the ungated one was gated away."""
SILENCE_DB = -120.0


@dataclass(frozen=True)
class Row:
    """One question answered: improvement for a present sound, leakage for an absent one."""

    kind: str
    sound: str
    present: bool
    improvement_db: float  # SI-SDR improvement of the ungated stem; nan for absent sounds
    reworded_db: float  # the same for the paraphrase; nan where there is none
    level_db: float  # the ungated stem's level against the mixture's
    gated_db: float  # the gated stem's level against the mixture's
    ceiling_db: float  # improvement by the ideal gain of every band
    surety: float  # the highest presence that was reported


class Listener:
    """One network as users meet it, one question list at a time.

    Presence may be weighed otherwise than users have it, to find the best weight on validation mixtures.
    """

    def __init__(self, weights: Path, encoder: TextEncoder, learned_share: float = LEARNED_SHARE) -> None:
        self._network = FoldedLariat(build(load_safetensors(weights)))
        self._encoder = encoder
        self._learned_share = learned_share

    def separate(
        self, mixture: np.ndarray, texts: Sequence[str], gate: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the stems, in time with the mixture, and the highest presence of each.

        Shape: (samples,) -> (texts, samples), (texts,).
        """
        engine = FrameEngine(self._network, SAMPLE_RATE, 1, "linked")
        engine.learned_share = self._learned_share
        queries = self._encoder.encode(texts)
        engine.ask(Asked(queries, queries[:0], gate=gate, consistent=False))
        late, step = engine.latency_samples, 8 * HOP_SAMPLES
        padded = np.pad(mixture, (0, late))[None]
        out, highest = [], np.zeros(len(texts))
        for start in range(0, padded.shape[1], step):
            out.append(engine.process(padded[:, start : start + step])[:, 0])
            highest = np.maximum(highest, engine.presence)
        return np.concatenate(out, -1)[:, late:], highest


def ideal(stems: np.ndarray, meant: Sequence[int]) -> np.ndarray:
    """Return what the ideal gain of every band gives: the ceiling of any network of this kind.

    Shape: (sources, samples) -> (samples,).
    """
    bands = BandMap(N_BINS)
    mixture = stft(torch.from_numpy(stems.sum(0)), HOP_SAMPLES)
    target = stft(torch.from_numpy(stems[list(meant)].sum(0)), HOP_SAMPLES)
    power = bands.power_to_bands(mixture.abs() ** 2) + 1e-12
    gains = (bands.power_to_bands((target * mixture.conj()).real) / power).clamp(0, 1)
    return istft(mixture * bands.gains_to_bins(gains), HOP_SAMPLES, stems.shape[1]).numpy()


def answer(listener: Listener, mixture: TestMixture) -> list[Row]:
    """Ask everything of one mixture and measure the answers."""
    heard, asked = mixture.stems.sum(0), mixture.questions
    stems, surety = listener.separate(heard, [q.text for q in asked], gate=False)
    gated, _ = listener.separate(heard, [q.text for q in asked], gate=True)
    reworded, _ = listener.separate(heard, [q.paraphrase or q.text for q in asked], gate=False)
    rows = []
    for i, question in enumerate(asked):
        wanted = mixture.stems[list(question.meant)].sum(0) if question.meant else None
        best = ideal(mixture.stems, question.meant) if question.meant else heard
        rows.append(
            Row(
                kind=mixture.kind,
                sound=question.sound,
                present=bool(question.meant),
                improvement_db=_improvement(wanted, stems[i], heard),
                reworded_db=_improvement(wanted if question.paraphrase else None, reworded[i], heard),
                level_db=_level(stems[i], heard),
                gated_db=_level(gated[i], heard),
                ceiling_db=_improvement(wanted, best, heard),
                surety=float(surety[i]),
            )
        )
    return rows


def _improvement(wanted: np.ndarray | None, stem: np.ndarray, mixture: np.ndarray) -> float:
    if wanted is None:
        return float("nan")
    return float(np.clip(si_sdr_improvement(wanted, stem, mixture), *CLIP_DB))


def _level(stem: np.ndarray, mixture: np.ndarray) -> float:
    return max(SILENCE_DB, rms_db(stem) - rms_db(mixture))


def table(rows: Sequence[Row]) -> str:
    """Return the figures of every list as a Markdown table, then those of absent sounds, wording and gate."""
    present = [row for row in rows if row.present]
    lines = [
        "| list | targets | mean dB | median dB | improved | mixture | ceiling dB |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in sorted({row.kind for row in rows}):
        lines.append(_line(kind, [row for row in present if row.kind == kind]))
    lines += [_line("a-e", present), "", *_absent(rows), *_wording(present), *_gate(rows)]
    return "\n".join(lines)


def _line(name: str, rows: Sequence[Row]) -> str:
    gained = [row.improvement_db for row in rows]
    share = np.mean(np.array(gained) > 0)
    ceiling = np.mean([row.ceiling_db for row in rows])
    middle = f"{np.mean(gained):.2f} | {np.median(gained):.2f} | {share:.0%}"
    return f"| {name} | {len(rows)} | {middle} | 0 | {ceiling:.1f} |"


def _absent(rows: Sequence[Row]) -> list[str]:
    levels = [row.level_db for row in rows if not row.present]
    gated = [row.gated_db for row in rows if not row.present]
    return [
        f"f: {len(levels)} absent sounds at {np.mean(levels):.1f} dB of the mixture before the gate, "
        f"nine in ten at or under {np.percentile(levels, 90):.1f} dB; after it {np.mean(gated):.1f} dB, "
        f"nine in ten at or under {np.percentile(gated, 90):.1f} dB; "
        f"{np.mean(np.array(gated) <= -50):.0%} at -50 dB or less"
    ]


def _wording(present: Iterable[Row]) -> list[str]:
    both = [(row.improvement_db, row.reworded_db) for row in present if not np.isnan(row.reworded_db)]
    before, after = np.mean(both, axis=0)
    return [
        f"g: {len(both)} targets {before:.2f} dB in trained words, {after:.2f} dB in words never trained on"
    ]


def _gate(rows: Sequence[Row]) -> list[str]:
    present = np.array([row.surety for row in rows if row.present])
    absent = np.array([row.surety for row in rows if not row.present])
    gone = np.mean([row.gated_db - row.level_db < GONE_DB for row in rows if row.present])
    lines = [
        f"gate: {gone:.1%} of present sounds gated away",
        "presence as a detector, misses against false alarms:",
    ]
    for alarms in (0.02, 0.05, 0.1, 0.2, 0.3):
        threshold = np.quantile(absent, 1 - alarms)
        missed = np.mean(present <= threshold)
        lines.append(f"  {missed:.1%} missed at {alarms:.0%} false alarms (presence {threshold:.2f})")
    return lines


def by_class(rows: Iterable[Row], at_least: int = 4) -> str:
    """Return the mean improvement of each class with enough targets, the worst first."""
    classes: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.present:
            classes[row.sound].append(row.improvement_db)
    kept = sorted((float(np.mean(v)), len(v), name) for name, v in classes.items() if len(v) >= at_least)
    return "\n".join(f"{name}: {mean:.1f} dB ({count})" for mean, count, name in kept)


def measure(name: str, listener: Listener, bank: Bank, n_mixtures: int) -> list[Row]:
    """Measure one network on all lists; its name is shown with the progress."""
    rows: list[Row] = []
    with progress(name, 5 * n_mixtures) as advance:
        for mixture in test_lists(bank, n_mixtures):
            rows += answer(listener, mixture)
            advance("")
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write every figure as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Row.__dataclass_fields__)
        writer.writerows([getattr(row, name) for name in Row.__dataclass_fields__] for row in rows)


def main() -> None:
    """Print a table for each file of weights."""
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__)
    cache_option(parser)
    parser.add_argument("weights", type=Path, nargs="+", help="files of lariat's weights")
    parser.add_argument("--mixtures", type=int, default=60, help="of each list a to e (default: 60)")
    parser.add_argument(
        "--split", default="test", choices=("test", "valid", "train"), help="sources (default: test)"
    )
    parser.add_argument(
        "--learned-share", type=float, default=LEARNED_SHARE, metavar="SHARE",
        help=f"how much the learned word weighs in presence (default: {LEARNED_SHARE})",
    )  # fmt: skip
    parser.add_argument("--rows", type=Path, metavar="FOLDER", help="write every figure to NAME.csv in here")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bank, encoder = Bank(Cache.open(options.cache), options.split), MiniLM()
    for weights in options.weights:
        listener = Listener(weights, encoder, options.learned_share)
        rows = measure(weights.name, listener, bank, options.mixtures)
        print(f"\n{weights.name}\n\n{table(rows)}\n\n{by_class(rows)}", flush=True)
        if options.rows:
            write_rows(options.rows / f"{weights.stem}.csv", rows)


if __name__ == "__main__":
    main()
