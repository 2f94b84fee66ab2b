"""Measure the OSC server on this machine: messages in a second, and how soon a ping is answered.

Run it with ``python benchmarks/osc.py``. The server is a process of its own; the client here asks over UDP on
the loopback interface. With a model given, the pings are also timed while a file is rendered.
"""

import argparse
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from soundlasso.bridge.osc.call import Request
from soundlasso.bridge.osc.dispatch import Tree, resolve
from soundlasso.bridge.osc.packet import Message, decode, encode
from soundlasso.bridge.osc.table import ROWS

RATE_HZ = 44100
MIX_S = 900  # must outlast the pings sent while it renders
COMMAND = "import typer; from soundlasso.bridge.commands.serve import serve; typer.run(serve)"


class Client:
    """A UDP client that counts what it hears."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(120)

    def wait(self, address: bytes) -> bytes:
        """Return the next packet with an address, and pass over others."""
        while not (packet := self.socket.recv(65536)).startswith(address + b"\0"):
            pass
        return packet

    def ping_s(self) -> float:
        """Return how long a ping takes."""
        start_s = time.perf_counter()
        self.socket.send(encode("/lasso/ping"))
        self.wait(b"/lasso/pong")
        return time.perf_counter() - start_s


class Nobody:
    """Where no answers go."""

    name, host, port, is_verified = "nobody", "127.0.0.1", 1, False

    def send(self, packet: bytes) -> None:
        """Drop it."""


def time_decoding(packet: bytes, times: int = 20000) -> None:
    tree = Tree(ROWS, lambda: range(1, 65))
    request = Request(Nobody(), lambda peer, answer: None)
    start_s = time.perf_counter()
    for _ in range(times):
        message = decode(packet)
        assert isinstance(message, Message)
        resolve(tree, message, request)
    print(f"decode and dispatch   {times / (time.perf_counter() - start_s):8.0f} messages/s")


def time_burst(client: Client, messages: int = 10000, window: int = 200) -> None:
    """Send bursts, each with a barrier behind it; every message is acknowledged."""
    start_s = time.perf_counter()
    acknowledged = 0
    for burst in range(messages // window):
        for i in range(window):
            client.socket.send(encode("/lasso/mix", [i / window]))
        client.socket.send(encode("/lasso/sync", [burst]))
        while not (packet := client.socket.recv(65536)).startswith(b"/lasso/synced"):
            acknowledged += packet.startswith(b"/lasso/done")
    print(f"set and acknowledged  {messages / (time.perf_counter() - start_s):8.0f} messages/s")
    print(f"lost                  {messages - acknowledged:8d} of {messages}")


def time_pings(client: Client, title: str, flood_per_s: int = 0, seconds: float = 5.0) -> None:
    """Ping every 5 ms, with other messages between at a given rate."""
    waits_s, sent, start_s = [], 0, time.perf_counter()
    while (now_s := time.perf_counter() - start_s) < seconds:
        while sent < now_s * flood_per_s:
            client.socket.send(b"/lasso/slot/2/gain\0\0,f\0\0" + struct.pack(">f", -(sent % 60)))
            sent += 1
        waits_s.append(client.ping_s())
        time.sleep(0.005)
    p50, p99, worst = 1e3 * np.percentile(waits_s, [50, 99, 100])
    print(f"{title:22s}p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  max {worst:6.2f} ms")


def main() -> None:
    """Start a server and measure it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="lariat")
    model = parser.parse_args().model
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = 0.1 * np.random.default_rng(0).standard_normal((RATE_HZ * MIX_S, 2), np.float32)
        soundfile.write(folder / "mix.wav", noise, RATE_HZ, subtype="PCM_16")
        options = ["--port", "0", "--root", name, "--port-file", str(folder / "address"), "--model", model]
        server = subprocess.Popen([sys.executable, "-c", COMMAND, *options], stdout=subprocess.DEVNULL)
        try:
            measure(folder)
        finally:
            server.terminate()
            server.wait()


def measure(folder: Path) -> None:
    while not (folder / "address").exists():
        time.sleep(0.05)
    client = Client(int((folder / "address").read_text().split()[1]))
    time_decoding(encode("/lasso/slot/12/gain", [-3.0]))
    while b"loading" in (client.socket.send(encode("/lasso/status")), client.wait(b"/lasso/status/reply"))[1]:
        time.sleep(0.2)
    time_burst(client)
    time_pings(client, "ping, idle")
    client.socket.send(encode("/lasso/render", ["mix.wav", "a violin", "j"]))
    client.wait(b"/lasso/job/progress")
    time_pings(client, "ping, rendering")
    time_pings(client, "ping, and 2000/s", flood_per_s=2000)
    client.socket.send(encode("/lasso/job/cancel", ["*"]))
    client.wait(b"/lasso/fail")


if __name__ == "__main__":
    main()
