"""Try a phase residual against none, for it may help lariat to turn what it keeps.

`python -m soundlasso.models.training.phase_trial` mixes shards with phases, makes the trials that have no row
yet in `runs/phase_trial.csv` of the cache, and prints the table; it may be stopped at any time.  Each trial
learns from chance, as long as the others (processor time of one thread), by the error of its complex gains.
All are measured as sound, by SI-SDR improvement on lists a to e of held-out and of seen sources.
"""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundlasso.dsp.bands import N_BANDS, N_BINS, BandMap, log_magnitude
from soundlasso.dsp.metrics import si_sdr_improvement
from soundlasso.dsp.stft import istft, stft
from soundlasso.models.lariat import Lariat
from soundlasso.models.text import MiniLM, TextEncoder
from soundlasso.models.training.bank import Bank
from soundlasso.models.training.evaluate import CLIP_DB
from soundlasso.models.training.examples import HOP_SAMPLES, LEVEL, Example, training_sources
from soundlasso.models.training.lists import Question, TestMixture, test_lists
from soundlasso.models.training.loss import gain_loss
from soundlasso.models.training.mix import SHARD_EXAMPLES, write_shard
from soundlasso.models.training.options import progress
from soundlasso.models.training.phases import advance, describe_phases, ideal_gains, parts, phase_batch
from soundlasso.models.training.queries import Asker, Batch, Words
from soundlasso.models.training.scenes import Chooser
from soundlasso.models.training.storage import Cache
from soundlasso.models.training.train import Pool
from soundlasso.models.training.trials import Trial, learn, make_missing, table, trial_options
from soundlasso.models.training.variants import OfMagnitudes, PhaseTurning, Turning, complex_gains

MADE = Path(__file__).with_name("phase_trial.csv")
"""The trials as they are kept with the code."""
ROOM = "phases"
"""Where their shards lie, under `shards`."""
N_SHARDS = 40
N_MIXTURES = 40
"""Of each list of held-out sources; half as many of seen ones."""
COLUMNS: Sequence[str] = ("trial", "steps", "valid_si_sdr_db", "valid_unturned_db", "seen_si_sdr_db")
"""`unturned` are the stems of the same gains without their directions."""


class PhasePool(Pool):
    """Draws from shards with phases."""

    def batch(self, examples: list[Example], n_frames: int) -> Batch:
        """Make a batch that has phases, too."""
        return phase_batch(examples, self._asker, self._rng, n_frames)


def complex_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """Return the loss of complex gains: as that of gains, with twice as many bands.

    Shape: (B, Q, T, F) or (B, Q, T, 3F) -> ().
    """
    magnitudes = batch.features[..., :N_BANDS]
    return gain_loss(complex_gains(outputs), batch._replace(features=torch.cat([magnitudes, magnitudes], -1)))


def trial_of(network: type[Lariat]) -> Trial:
    """Return the trial of one kind of network."""
    return Trial(network=network, loss=complex_loss, pool=PhasePool)


TRIALS = {
    "no phase residual": trial_of(OfMagnitudes),
    "a phase residual": trial_of(Turning),
    "a phase residual that hears phases": trial_of(PhaseTurning),
}
CEILINGS = {"ideal gains": False, "ideal gains and directions": True}
"""What nothing of this kind can exceed, without directions and with them."""


def mix_shard(path: Path, cache: Cache) -> None:
    """Mix one shard; the same name gives the same examples from the same bank."""
    bank, rng = Bank(cache, "train"), random.Random(f"{ROOM} {path.stem}")
    chooser = Chooser(bank, rng)
    write_shard(
        path,
        [describe_phases(*training_sources(bank, chooser, rng)) for _ in range(SHARD_EXAMPLES)],
    )


def mix(cache: Cache, n_shards: int, jobs: int) -> None:
    """Mix the shards that are missing, some at once."""
    paths = [cache.room(f"shards/{ROOM}") / f"{number:08d}.npz" for number in range(n_shards)]
    missing = [path for path in paths if not path.exists()]
    with (
        ProcessPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        progress("shards", len(missing)) as step,
    ):
        for made in as_completed([pool.submit(mix_shard, path, cache) for path in missing]):
            made.result()
            step("")


def make(trial: Trial, cache: Cache, minutes: float, pause: Path, short: bool = False) -> dict[str, float]:
    """Make one trial and return its figures."""
    asker = Asker(Words(cache), Bank(cache, "train").sounds, trial.n_queries)
    course = learn(trial, trial.pool(cache, ROOM, asker, 0), cache.root, minutes, pause, short)
    network, encoder = course.average.network.eval(), MiniLM()
    return {"steps": float(course.step), **figures(partial(heard_gains, network, encoder), cache)}


def ceiling(turned: bool, cache: Cache) -> dict[str, float]:
    """Return what the ideal gain of every band comes to, with its direction or without."""
    return {"steps": 0.0, **figures(partial(best_gains, turned), cache)}


Answers = Callable[[TestMixture], Tensor]
"""Complex gains for the sounds of a mixture that are there, real parts before imaginary: (Q, T, 2F)."""


def figures(answers: Answers, cache: Cache) -> dict[str, float]:
    """Measure answers on held-out and on seen sources."""
    found = []
    for split, count in (("valid", N_MIXTURES), ("train", N_MIXTURES // 2)):
        mixtures = test_lists(Bank(cache, split), count)
        found.append(np.concatenate([improvements(mixture, answers(mixture)) for mixture in mixtures]))
    held_out, seen = (each.mean(0) for each in found)
    return dict(zip(COLUMNS[2:], (*held_out, seen[0]), strict=True))


@torch.no_grad()
def heard_gains(network: Lariat, encoder: TextEncoder, mixture: TestMixture) -> Tensor:
    """Ask a network for what is there."""
    queries = encoder.encode([question.text for question in present(mixture)])
    heard = spectra(mixture.stems.sum(0))
    heard *= LEVEL / heard.abs().square().mean().sqrt()
    magnitudes = log_magnitude(BandMap(N_BINS).power_to_bands(heard.abs() ** 2))
    features = torch.cat([magnitudes, torch.from_numpy(parts(advance(heard.numpy())))], -1)
    logits, _ = network(features[None], queries[None])
    return complex_gains(torch.sigmoid(logits))[0]


def best_gains(turned: bool, mixture: TestMixture) -> Tensor:
    """Return the ideal gains, turned or not, as a network could answer them."""
    stems = spectra(mixture.stems).numpy()
    targets = np.stack([stems[list(question.meant)].sum(0) for question in present(mixture)])
    gains = torch.from_numpy(parts(ideal_gains(targets, stems.sum(0))))
    if not turned:
        gains[..., :N_BANDS].clamp_(0, 1)
        gains[..., N_BANDS:] = 0
    return gains


def improvements(mixture: TestMixture, gains: Tensor) -> np.ndarray:
    """Return how many dB of SI-SDR the stems gain over the mixture, with directions and without.

    Shape: (Q, T, 2F) -> (Q, 2).
    """
    heard, bands = mixture.stems.sum(0), BandMap(N_BINS)
    spectrum = spectra(heard)
    wanted = [mixture.stems[list(question.meant)].sum(0) for question in present(mixture)]
    pairs = gains.view(*gains.shape[:-1], 2, N_BANDS)
    sizes = torch.linalg.vector_norm(pairs, dim=-2, keepdim=True)
    found = []
    for each in (pairs, torch.cat([sizes, torch.zeros_like(sizes)], -2)):
        real, imaginary = bands.gains_to_bins(each).unbind(-2)
        stems = istft(spectrum * torch.complex(real, imaginary), HOP_SAMPLES, len(heard)).numpy()
        found.append([si_sdr_improvement(w, stem, heard) for w, stem in zip(wanted, stems, strict=True)])
    return np.asarray(np.clip(np.array(found).T, *CLIP_DB))


def present(mixture: TestMixture) -> list[Question]:
    """Return the questions for what is there."""
    return [question for question in mixture.questions if question.meant]


def spectra(audio: np.ndarray) -> Tensor:
    """Transform sounds.  Shape: (..., samples) -> (..., T, bins) complex."""
    return stft(torch.from_numpy(audio), HOP_SAMPLES)


def main(arguments: list[str] | None = None) -> None:
    """Mix what shards are missing, make what trials are missing, then print all."""
    parser = trial_options("phase_trial", __doc__)
    parser.add_argument(
        "--shards", type=int, default=N_SHARDS, help=f"to learn from, 130 MB each (default: {N_SHARDS})"
    )
    options = parser.parse_args(arguments)
    cache = Cache.open(options.cache)
    mix(cache, options.shards, options.jobs)
    learning = (cache, options.minutes, cache.room("runs") / "pause", options.short)
    todo = {name: partial(make, trial, *learning) for name, trial in TRIALS.items()}
    todo |= {name: partial(ceiling, turned, cache) for name, turned in CEILINGS.items()}
    print(table(make_missing(todo, cache.room("runs") / "phase_trial.csv", COLUMNS, options.jobs), COLUMNS))


if __name__ == "__main__":
    main()
