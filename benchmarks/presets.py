"""What each shipped preset achieves on the demo, whose true stems are known: the table of the README.

    python benchmarks/presets.py            # all, as Markdown
    python benchmarks/presets.py podcast

For each stem that is in the demo: how much nearer the preset's stem is to the true one than the whole mix was
(SI-SDR improvement, before chains); and of the files, loudness and true peak of the mix, or how deep stems
and rest null.  call-centre hears the demo at 8 kHz, voice-assistant at 16 kHz.  A sound that is not in the
demo is not measured.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from soundlasso.bridge.audiofile import read_audio
from soundlasso.bridge.presets.hearing import PresetStream
from soundlasso.bridge.presets.library import load_preset
from soundlasso.bridge.presets.preset import Preset
from soundlasso.dsp.metrics import si_sdr_improvement
from soundlasso.dsp.true_peak import true_peak
from soundlasso.models.separator import load_model
from soundlasso.models.stream import Audio

DEMO = Path(__file__).parent.parent / "examples" / "demo.flac"
# What of the demo each stem ought to hold; the voice in it talks, so it stands for a singer's too.
TRUE = {
    "band": {"drums": ["drums"], "bass": ["bass"]},
    "vocal-down": {"voice": ["voice"]},
    "drums-out": {"drums": ["drums"]},
    "remix-four": {"drums": ["drums"], "bass": ["bass"], "voice": ["voice"]},
    "podcast": {"voice": ["voice"]},
    "dialogue-music-effects": {"dialogue": ["voice"], "music": ["drums", "bass", "violin"]},
    "speech-enhance": {"speech": ["voice"]},
    "hearing-support": {"voice": ["voice"]},
    "forensic-listening": {"man": ["voice"], "animal": ["dog"], "music": ["drums", "bass", "violin"]},
    "call-centre": {"voice": ["voice"]},
    "video-call": {"voice": ["voice"]},
    "voice-assistant": {"speech": ["voice"]},
    "field-recording": {},
    "one-sound": {"sound": ["voice"]},
}
INPUT_RATES = {"call-centre": 8000, "voice-assistant": 16000}


def read_at(path: Path, rate: int | None) -> tuple[Audio, int]:
    audio, own = read_audio(path)
    if rate is None:
        return audio, own
    return np.ascontiguousarray(soxr.resample(audio.T, own, rate).T, np.float32), rate


def stems_of(preset: Preset, mixture: Audio, rate: int) -> Audio:
    stream = PresetStream(preset, load_model(preset.model), rate, len(mixture))
    late = np.concatenate([stream.process(mixture), stream.flush()], axis=2)
    return late[..., stream.latency_samples :]


def improvements(name: str, preset: Preset) -> str:
    rate = INPUT_RATES.get(name)
    mixture, sample_rate = read_at(DEMO, rate)
    found = dict(zip([s.name for s in preset.stems], stems_of(preset, mixture, sample_rate), strict=True))
    told = []
    for stem, parts in TRUE[name].items():
        true = np.sum([read_at(DEMO.parent / "demo.stems" / f"{p}.flac", rate)[0] for p in parts], axis=0)
        gained_db = si_sdr_improvement(true.astype(np.float32), found[stem], mixture)
        told.append(f"{stem} {gained_db:+.1f} dB")
    return ", ".join(told) or "not measured"


def render(name: str, preset: Preset) -> tuple[str, float]:
    mixture, sample_rate = read_at(DEMO, INPUT_RATES.get(name))
    with tempfile.TemporaryDirectory() as folder:
        mix = Path(folder, "mix.wav")
        soundfile.write(mix, mixture.T, sample_rate, subtype="FLOAT")
        started_s = time.perf_counter()
        result = preset.render(mix, Path(folder, "out"))
        took = (time.perf_counter() - started_s) / result.seconds
        if result.mixdown is None or result.mixdown.path is None:
            null_db = max(result.null_db or -200.0, -200.0)
            return f"stems and rest null to {null_db:.0f} dBFS", took
        audio, rate = read_audio(result.mixdown.path)
        return f"{result.mixdown.loudness_lufs:.1f} LUFS, {true_peak(audio, rate):.1f} dBTP", took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("presets", nargs="*", default=list(TRUE), metavar="NAME")
    names = parser.parse_args().presets
    torch.set_num_threads(1)
    print("| preset | its stems on the demo | its files | time per second |\n|---|---|---|---|")
    for name in names:
        preset = load_preset(name, ["output.pictures=false", "output.report=false"])
        gained = improvements(name, preset)
        files, took = render(name, preset)
        print(f"| {name} | {gained} | {files} | {took:.2f} s |", flush=True)


if __name__ == "__main__":
    main()
