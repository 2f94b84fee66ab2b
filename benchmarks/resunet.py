"""Measure ResUNet30: plain against folded, by windows, its memory, and what context is worth.

Run it with ``python -m benchmarks.resunet [speed] [memory] [context]`` from the repository's root. The
weights are noise of the right scale: speed and memory are those of the trained ones.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from soundlasso.models.engine import Asked, Profile
from soundlasso.models.resunet import SAMPLE_RATE, ResUNet30, magnitudes, stft
from soundlasso.models.resunet_folded import FoldedUNet
from soundlasso.models.windowed import LIVE, OFFLINE, WindowEngine

THREADS = 2
REPEATS = 2
BLOCK_S = 10
PROFILES = {"offline": OFFLINE, "live": LIVE}


def network() -> ResUNet30:
    """Return a network with random weights whose levels stay near one."""
    torch.manual_seed(0)
    made = ResUNet30().eval().requires_grad_(False)
    for parameter in made.parameters():
        if parameter.dim() == 4:
            parameter.normal_(std=(1.6 / parameter[0].numel()) ** 0.5)
    return made


def queries(count: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 512, generator=torch.manual_seed(1)), dim=1)


def best(work: Callable[[], object]) -> tuple[float, float]:
    """Return the least wall and processor time of some runs; the second is steadier on a busy machine."""
    times = []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(wall for wall, _ in times), min(processor for _, processor in times)


def speed() -> None:
    """Print one offline window's time, plain and folded, and the time for a whole signal."""
    plain = network()
    folded, query = FoldedUNet(plain), queries(1)
    seconds = OFFLINE.past_s + OFFLINE.hop_s + OFFLINE.future_s
    heard = magnitudes(stft(torch.randn(1, round(seconds * SAMPLE_RATE))))
    plain_shifts, shifts = plain.shifts(query), folded.shifts(query[0])
    context = round(OFFLINE.past_s * 100), round(OFFLINE.future_s * 100)
    rows: dict[str, Callable[[], object]] = {
        "plain": lambda: plain.base(heard, plain_shifts),
        "folded": lambda: folded(heard, shifts),
        "folded, only the hop decoded": lambda: folded(heard, shifts, *context),
    }
    print(f"one window of {seconds:g} s, {THREADS} threads: wall, processor time")
    for name, work in rows.items():
        wall, processor = best(work)
        print(f"  {name:<30} {wall:6.2f} s {processor:6.2f} s")


def run_engine(profile: str, seconds: float, count: int) -> None:
    """Send noise through an engine in blocks."""
    engine = WindowEngine(FoldedUNet(network()), 44100, 2, "linked", PROFILES[profile])
    engine.ask(Asked(queries(count), torch.empty(0, 512)))
    block = np.random.default_rng(0).standard_normal((2, BLOCK_S * 44100))
    block = (block / 10).astype(np.float32)
    started, processor = time.perf_counter(), time.process_time()
    for _ in range(round(seconds / BLOCK_S)):
        engine.process(block)
    wall, processor = time.perf_counter() - started, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"  {seconds:5g} s, {count} queries: real-time factor {wall / seconds:.2f}, "
        f"processor {processor / seconds:.2f}, peak {peak:.2f} GB"
    )


def memory() -> None:
    """Print peak memory and speed of stereo at 44.1 kHz, each in a fresh process."""
    for profile in PROFILES:
        print(profile, flush=True)
        for seconds, count in ((60, 1), (180, 1), (60, 4)):
            script = f"import benchmarks.resunet as b; b.torch.set_num_threads({THREADS}); "
            script += f"b.torch.set_grad_enabled(False); b.run_engine({profile!r}, {seconds}, {count})"
            subprocess.run([sys.executable, "-c", script], check=True)


def context() -> None:
    """Print how far each profile is from the whole pass, in dB of the stem."""
    plain = network()
    folded, query = FoldedUNet(plain), queries(1)
    silence = 10 * 10_240
    audio = torch.randn(1, 12 * SAMPLE_RATE, generator=torch.manual_seed(2)) / 10
    audio *= (torch.arange(audio.shape[1]) // 20_000 % 3 + 1) / 3  # levels that change
    whole = plain(pad(audio, (silence, silence)), query)[:, silence:-silence].numpy()
    for past_s, future_s in ((3.2, 3.2), (1.92, 1.92), (1.28, 0.96), (1.28, 0.32), (0.64, 0.32), (0.32, 0.0)):
        engine = WindowEngine(folded, SAMPLE_RATE, 1, "linked", Profile(1.28, past_s, future_s))
        engine.ask(Asked(query, torch.empty(0, 512), gate=False))
        late = engine.process(np.pad(audio.numpy(), ((0, 0), (0, engine.latency_samples))))
        difference = late[0, :, engine.latency_samples :] - whole
        level_db = 10 * np.log10(np.square(difference).mean() / np.square(whole).mean())
        print(f"  past {past_s:4.2f} s, future {future_s:4.2f} s: {level_db:7.1f} dB")


def main() -> None:
    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    parts = {"speed": speed, "memory": memory, "context": context}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
