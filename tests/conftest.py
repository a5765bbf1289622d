"""Fixtures for every ring. What needs a service fails without it; nothing is skipped."""

import sys
from collections.abc import Iterator

import pytest

from tests.servers import Deployment, Standalone
from tests.services.receiver import Receiver
from tests.services.stack import Services


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "services: needs PostgreSQL, RabbitMQ and Redis, or chromium (make test)")


@pytest.fixture(scope="session")
def services() -> Services:
    """The servers that tests/plugin.py started."""
    plugin = sys.modules.get("tests.plugin")
    if plugin is None:
        pytest.fail("This test needs real services: run `make test`, or pytest -p tests.plugin.")
    found: Services = plugin.services
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP server on loopback that takes every webhook with 200, until told otherwise."""
    with Receiver() as started:
        yield started


@pytest.fixture(scope="session")
def standalone() -> Iterator[Standalone]:
    """One embedded server for all tests that do not kill it."""
    with Standalone() as server:
        yield server


@pytest.fixture(scope="session")
def deployment(services: Services) -> Iterator[Deployment]:
    """The production roles for all tests that do not kill them; ANONYMOUS_API=on."""
    with Deployment(services) as started:
        yield started
