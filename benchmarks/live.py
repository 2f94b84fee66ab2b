"""How short a latency this machine keeps for lariat live: no late block in a minute of JACK audio.

    python benchmarks/live.py [--seconds 60]

A dummy JACK server (256 samples a period) is started for each rate; a noise source plays through one
`Separate`.  Latencies are tried from short to long until one keeps up; a late block ends a trial.
"""

import argparse
import subprocess
import time

import numpy as np
import torch

from soundlasso.bridge.live import LiveEngine, LiveError, calm_python
from soundlasso.bridge.live_jack import JackClient, load_jack
from soundlasso.bridge.separate import Separate

SERVER = "soundlasso-benchmark"
HOP = 256
LOOK_INTERVAL_S = 0.5
SLACK_MS = (5, 10, 20, 40, 80, 160, 320)


class Source:
    """A JACK client that sends noise into a client's inputs."""

    def __init__(self, target: JackClient) -> None:
        self.client = load_jack().Client("source", no_start_server=True, servername=SERVER)
        self.ports = [self.client.outports.register(f"out_{i}") for i in range(2)]
        self.noise = (0.1 * np.random.default_rng(0).standard_normal(8192)).astype(np.float32)
        self.client.set_process_callback(self.process)
        self.client.activate()
        for port, name in zip(self.ports, target.inputs, strict=True):
            self.client.connect(port, name)

    def process(self, frames: int) -> None:
        """Send the next block."""
        for port in self.ports:
            port.get_array()[:] = self.noise[:frames]

    def close(self) -> None:
        """Leave the server."""
        self.client.deactivate()
        self.client.close()


def start_server(rate: int) -> "subprocess.Popen[bytes]":
    command = ["jackd", "-n", SERVER, "-d", "dummy", "-r", str(rate), "-p", "256"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            JackClient(1, name="probe", server=SERVER).close()
            return server
        except LiveError:
            time.sleep(0.1)


def trial(slack_ms: float, duration_s: float) -> tuple[int, float]:
    """Play; print what happened; return the late blocks and the latency in ms."""
    effect = Separate("drums")
    with JackClient(2, server=SERVER) as client:
        slack = round(slack_ms / 1000 * client.sample_rate)
        effect.prepare(client.sample_rate, 2, HOP)
        latency = effect.latency_samples + HOP + slack
        with (
            LiveEngine(effect, client.sample_rate, 2, latency_samples=latency, hop_samples=HOP) as engine,
            calm_python(),
        ):
            client.play(engine)
            source = Source(client)
            while engine.seconds < duration_s and not engine.late_blocks and engine.error is None:
                client.ended.wait(LOOK_INTERVAL_S)
            source.close()
            late, share, played_s = engine.late_blocks, engine.cpu_share, engine.seconds
        latency_ms = 1000 * latency / client.sample_rate
        print(
            f"{client.sample_rate} Hz: {latency_ms:5.1f} ms (slack {slack_ms} ms): {late} late blocks, "
            f"{client.xruns} xruns in {played_s:.0f} s, CPU {share:.0%} of one core",
            flush=True,
        )
    return late, latency_ms


def main() -> None:
    """Try latencies at both rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="of each trial (default: %(default)s)")
    duration_s = parser.parse_args().seconds
    torch.set_num_threads(1)
    for rate in (44_100, 48_000):
        server = start_server(rate)
        try:
            for slack_ms in SLACK_MS:
                late, latency_ms = trial(slack_ms, duration_s)
                if not late:
                    print(f"{rate} Hz: no late block at {latency_ms:.1f} ms")
                    break
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
