"""The command that serves: where it listens, what it refuses, how it ends."""

import asyncio
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from soundlasso.bridge.commands.serve import check_exposure, run_server
from soundlasso.bridge.osc.mdns import OSCQUERY_TYPE, announced, reachable_addresses
from soundlasso.bridge.osc.options import Options
from soundlasso.dsp.errors import SoundlassoError
from tests.osc_help import Ear

START_LIMIT_S = 60.0  # a busy machine imports slowly
END_LIMIT_S = 15.0
COMMAND = [
    sys.executable,
    "-c",
    "import typer; from soundlasso.bridge.commands.serve import serve; typer.run(serve)",
    "--port",
]


class Served:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.file = folder / "address"
        command = [*COMMAND, "0", "--root", str(folder), "--port-file", str(self.file), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        end_s = time.monotonic() + START_LIMIT_S
        while not self.file.exists():
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < end_s
            time.sleep(0.02)
        self.host, number = self.file.read_text().split()
        self.port = int(number)

    def end(self) -> str:
        """Wait for the end; return what was printed."""
        return self.process.communicate(timeout=END_LIMIT_S)[0]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, "--allow-quit")
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.end()


@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "quit"])
def test_it_writes_its_address_and_ends_when_told(served: Served, way: str) -> None:
    assert served.host == "127.0.0.1"
    with Ear(served.port) as ear:
        ear.ask("/lasso/notify", 1, 0, 0, answer="/lasso/done")
        if way == "quit":
            ear.send("/lasso/quit")
        else:
            os.kill(served.process.pid, getattr(signal, way))
        ear.wait("/lasso/shutdown", END_LIMIT_S)
    assert f"listens on 127.0.0.1 port {served.port}" in served.end()
    assert served.process.returncode == 0
    assert not served.file.exists()


def test_a_port_in_use_ends_it_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, port], capture_output=True, text=True, timeout=START_LIMIT_S)
    assert done.returncode == 3
    assert f"port {port} of 127.0.0.1 is in use" in done.stderr
    assert "--port 0" in done.stderr


def test_an_address_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    async def served() -> None:
        with pytest.raises(SoundlassoError, match=r"cannot write the address to .*nowhere"):
            await run_server(Options(port=0), tmp_path / "nowhere" / "address")

    asyncio.run(asyncio.wait_for(served(), END_LIMIT_S))  # the worker, which has been started, ends too


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (Options(allow=("nowhere",)), "192.168.1.0/24"),
        (Options(token="short"), "can be guessed"),
    ],
)
def test_settings_that_open_too_much_are_refused(options: Options, reason: str) -> None:
    with pytest.raises(SoundlassoError, match=reason):
        check_exposure(options)


def test_a_server_on_the_loopback_interface_can_be_found_by_name() -> None:
    zeroconf = pytest.importorskip("zeroconf.asyncio")

    async def find() -> int | None:
        async with announced("127.0.0.1", 17771):
            found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def changed(service_type: str, name: str, **_: object) -> None:
                if "17771" in name and not found.done():
                    found.set_result(name)

            async with zeroconf.AsyncZeroconf(interfaces=["127.0.0.1"]) as other:
                browser = zeroconf.AsyncServiceBrowser(other.zeroconf, OSCQUERY_TYPE, handlers=[changed])
                name = await asyncio.wait_for(found, END_LIMIT_S)
                info = await other.async_get_service_info(OSCQUERY_TYPE, name)
                await browser.async_cancel()
                return None if info is None else info.port

    assert asyncio.run(find()) == 17771


def test_a_server_on_all_interfaces_is_announced_where_it_can_be_reached() -> None:
    pytest.importorskip("zeroconf")
    for host in ("0.0.0.0", "::"):
        addresses = [ipaddress.ip_address(text) for text in reachable_addresses(host)]
        assert addresses
        assert not any(address.is_unspecified or address.is_link_local for address in addresses)
    assert reachable_addresses("127.0.0.1") == ["127.0.0.1"]
