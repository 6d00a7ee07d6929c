"""What acceptance tests share: a sandbox, an installation that points at it, and their figures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from providers.sandbox import Sandbox
from tests.kit.figures import Figures
from tests.kit.gateway import Installation


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.acceptance)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show every test's figures at the end of the run, passed or not."""
    told = [
        (report.nodeid.rpartition("::")[2], text)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, text in report.user_properties
        if name == "figures"
    ]
    if told:
        terminalreporter.section("figures")
        for test, text in told:
            terminalreporter.write_line(f"{test}: {text}")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Tells what a test measured; shown at the end of the run, and kept in JUnit's report."""

    def tell(text: str) -> None:
        request.node.user_properties.append(("figures", text))

    return tell


@pytest.fixture(scope="session")
def vendor_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the sandbox's keys: making them takes most of a second."""
    return tmp_path_factory.mktemp("vendors")


@pytest.fixture
async def sandbox(vendor_keys: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(credentials_dir=vendor_keys) as running:
        yield running


@pytest.fixture
async def installation(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Installation]:
    """A configured gateway that nobody has started yet."""
    async with aiohttp.ClientSession() as http:
        made = Installation(tmp_path, sandbox, http)
        made.configure()
        yield made
