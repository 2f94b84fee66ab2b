"""Programs that DAW users really send OSC with: liblo's tools, Pure Data and Node's osc package.

Each is skipped, with the reason, where it is not installed.
"""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from soundlasso.bridge.osc.packet import MAX_PACKET_BYTES
from tests.osc_help import Ear, Running

PROGRAM_LIMIT_S = 30.0


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def node_has(package: str) -> bool:
    command = ["node", "-e", f"require.resolve('{package}')"]
    return shutil.which("node") is not None and subprocess.run(command, capture_output=True).returncode == 0


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_LIMIT_S, check=True)
    return done.stdout + done.stderr


def wait_for(ear: Ear, address: str, value: object) -> None:
    """Ask for a value until a program that answers nothing has set it."""
    end_s = time.monotonic() + PROGRAM_LIMIT_S
    while ear.ask(address) != (value,):
        assert time.monotonic() < end_s, ear.heard[-1]


# liblo


@needs("oscsend")
@pytest.mark.parametrize(
    ("tag", "text", "value"), [("i", "1", 1.0), ("d", "0.25", 0.25), ("s", "0.5", 0.5), ("f", "0.75", 0.75)]
)
def test_liblo_numbers_of_any_type_are_taken(
    server: Running, ear: Ear, tag: str, text: str, value: float
) -> None:
    run("oscsend", "localhost", str(server.port), "/lasso/mix", tag, text)
    wait_for(ear, "/lasso/mix", value)


@needs("oscsend")
def test_liblo_sends_text_in_all_alphabets_over_tcp(server: Running, ear: Ear) -> None:
    run("oscsend", f"osc.tcp://127.0.0.1:{server.port}", "/lasso/query", "s", "héllo 日本")
    wait_for(ear, "/lasso/query", "héllo 日本")


@needs("oscdump")
def test_a_port_registered_for_a_host_hears_what_passing_senders_are_answered(
    server: Running, ear: Ear
) -> None:
    with Ear(server.port) as free:
        port = str(free.port)
    dump = subprocess.Popen(["oscdump", "-L", port], stdout=subprocess.PIPE, text=True)
    try:
        assert dump.stdout is not None
        lines = iter(dump.stdout.readline, "")
        end_s = time.monotonic() + PROGRAM_LIMIT_S
        while not server.ask(lambda: len(server.server.clients)):  # until oscdump has opened its port
            assert time.monotonic() < end_s
            ear.ask("/lasso/notify", 1, int(port), answer="/lasso/done")
            ear.ask("/lasso/mix", time.monotonic() % 1, answer="/lasso/done")
        run("oscsend", "localhost", str(server.port), "/lasso/ping", "isf", "7", "héllo 日本", "0.5")
        assert '/lasso/pong isf 7 "héllo 日本" 0.5' in next(line for line in lines if "/lasso/pong" in line)
        run("oscsend", "localhost", str(server.port), "/lasso/nosuch", "i", "1")
        assert '"unknown_address"' in next(line for line in lines if "/lasso/fail" in line)
        run("oscsend", "localhost", str(server.port), "/lasso/slot/4/gain", "f", "-4.5")
        assert "f -4.500000" in next(line for line in lines if "/lasso/slot/4/gain f" in line)
    finally:
        dump.kill()
        dump.communicate()
        ear.ask("/lasso/notify", 0, int(port), answer="/lasso/done")


# Pure Data

PATCH = """#N canvas 0 0 450 300 10;
#X obj 10 10 loadbang;
#X obj 10 40 t b b b b;
#X msg 200 60 connect 127.0.0.1 {port} 0;
#X msg 120 90 5 0.25 solo violin;
#X obj 10 90 delay 4000;
#X msg 10 120 \\; pd quit;
#X msg 250 90 list solo violin;
#X obj 120 150 oscformat lasso ping;
#X obj 250 150 oscformat lasso query;
#X obj 120 200 netsend -u -b;
#X obj 120 230 oscparse;
#X obj 120 260 print REPLY;
#X obj 120 175 list prepend send;
#X obj 120 188 list trim;
#X obj 120 275 route list;
#X connect 0 0 1 0;
#X connect 1 0 4 0;
#X connect 4 0 5 0;
#X connect 1 1 6 0;
#X connect 1 2 3 0;
#X connect 1 3 2 0;
#X connect 2 0 9 0;
#X connect 3 0 7 0;
#X connect 6 0 8 0;
#X connect 7 0 12 0;
#X connect 8 0 12 0;
#X connect 12 0 13 0;
#X connect 13 0 9 0;
#X connect 9 1 10 0;
#X connect 10 0 11 0;
"""


@needs("pd")
def test_pure_data_is_answered_and_its_words_are_joined(server: Running, ear: Ear, tmp_path: Path) -> None:
    patch = tmp_path / "ping.pd"
    patch.write_text(PATCH.format(port=server.port))
    heard = run("pd", "-nogui", "-noaudio", "-nomidi", "-stderr", "-open", str(patch))
    assert "REPLY: list lasso pong 5 0.25 solo violin" in heard
    assert "REPLY: list lasso done /lasso/query solo\\ violin" in heard  # one atom again
    assert ear.ask("/lasso/query") == ("solo violin",)


# Node

NODE_UDP = """
const osc = require("osc");
const port = new osc.UDPPort({ localAddress: "127.0.0.1", localPort: 0, metadata: true,
                               remoteAddress: "127.0.0.1", remotePort: %d });
let left = 3;
port.on("message", (m) => { console.log(m.address, JSON.stringify(m.args.map((a) => a.value)));
                            if (--left === 0) port.close(); });
port.on("ready", () => {
  port.send({ address: "/lasso/ping", args: [{ type: "i", value: 1 }, { type: "s", value: "solo violin" }] });
  port.send({ address: "/lasso/nosuch", args: [] });
  const later = { address: "/lasso/ping", args: [{ type: "s", value: "later" }] };
  port.send({ timeTag: osc.timeTag(0.2), packets: [later] });
});
port.open();
"""

NODE_TCP = """
const osc = require("osc");
const port = new osc.TCPSocketPort({});
let left = 2;
port.on("message", (m) => { console.log(m.address, m.args[0].length); if (--left === 0) port.socket.end(); });
port.on("ready", () => { port.send({ address: "/lasso/ping", args: ["slip"] });
                         port.send({ address: "/lasso/ping", args: ["z".repeat(120000)] }); });
port.open("127.0.0.1", %d);
"""


@pytest.mark.skipif(not node_has("osc"), reason="Node or its package osc is not installed")
def test_node_is_answered_over_udp_at_once_and_later(server: Running) -> None:
    heard = run("node", "-e", NODE_UDP % server.port).splitlines()
    assert heard[0] == '/lasso/pong [1,"solo violin"]'
    assert heard[1].startswith('/lasso/fail ["/lasso/nosuch","unknown_address"')
    assert heard[2] == '/lasso/pong ["later"]'


@pytest.mark.skipif(not node_has("osc"), reason="Node or its package osc is not installed")
def test_node_is_answered_over_slip(server: Running) -> None:
    assert MAX_PACKET_BYTES > 120_000
    assert run("node", "-e", NODE_TCP % server.port).splitlines() == ["/lasso/pong 4", "/lasso/pong 120000"]


NODE_QUERY = """
const { OSCQueryDiscovery } = require("oscquery");
new OSCQueryDiscovery().queryNewService("127.0.0.1", %d).then((service) => {
  for (const method of service.flat()) console.log(method.full_path);
  process.exit(0);
});
"""


@pytest.mark.skipif(not node_has("oscquery"), reason="Node or its package oscquery is not installed")
def test_node_finds_the_addresses_by_oscquery(server: Running) -> None:
    found = run("node", "-e", NODE_QUERY % server.port).splitlines()
    assert {"/lasso/mix", "/lasso/slot/1/query", "/lasso/render"} <= set(found)
