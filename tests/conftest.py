"""Settings that all tests share."""

import os
import signal
from collections.abc import Iterator

import pytest
import torch

from soundlasso.bridge.presets.library import CONFIG_VARIABLE
from soundlasso.models.catalog import CACHE_VARIABLE
from soundlasso.models.separator import Separator, load_model
from tests.osc_help import Ear, Running, running


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute with one thread: steady on a busy machine, where two would wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the presets and models of whoever runs the tests alone, in child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in (CONFIG_VARIABLE, CACHE_VARIABLE, "SOUNDLASSO_TRAINING_CACHE"):
            patch.setenv(variable, str(tmp_path_factory.mktemp(variable.lower())))
        yield


@pytest.fixture(scope="session")
def lariat() -> Separator:
    return load_model("lariat")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Run an OSC server; a module that needs another one has its own fixture of this name."""
    with running() as made:
        yield made


@pytest.fixture
def ear(server: Running) -> Iterator[Ear]:
    """Talk to the OSC server."""
    with Ear(server.port) as made:
        yield made


class _SkipsFailCi:
    """On CI a test that is skipped for want of an external program counts as failed."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and "not installed" in str(report.longrepr):
            self.missing.append(f"{report.nodeid}: {report.longrepr}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.missing:
            terminalreporter.write_line(f"CI must not skip {line}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what it runs behind
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("CI"):
        config.pluginmanager.register(_SkipsFailCi())
