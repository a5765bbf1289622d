"""Fixtures for every ring. What needs a service fails without it; nothing is skipped."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.servers import Deployment, Gate, Standalone, told
from tests.services.receiver import Receiver
from tests.services.stack import Services


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what it runs in the background like this, and our servers would inherit it: deaf to Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "services: needs PostgreSQL, RabbitMQ and Redis, or chromium (make test)")
    config.addinivalue_line(
        "markers", "anywhere: the same whatever database, broker and cache there are; .ci/run does it once"
    )


LONG = ("tests/chaos/", "tests/acceptance/", "tests/contracts/", "tests/browser/", "tests/services/")


@pytest.hookimpl(trylast=True)  # after pytest-django, which puts last what uses no database of its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first: at the end of the run one worker would be left alone with it."""
    ranks = {folder: rank for rank, folder in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get("/".join(item.nodeid.split("/")[:2]) + "/", len(LONG)))


# The same examples in every run: one that was green stays green. `make fuzz` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


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


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Whatever it still holds when the test is over may end."""
    made = Gate(tmp_path / "open")
    yield made
    made.open()


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


# ---- Servers that tell a receiver, for the contracts and the acceptance tests ---------------------------------------


@pytest.fixture(scope="session")
def hooks() -> Iterator[Receiver]:
    """Where WEBHOOK_URL of the servers below leads."""
    with Receiver() as started:
        yield started


@pytest.fixture(scope="session")
def told_standalone(hooks: Receiver) -> Iterator[Standalone]:
    """The embedded default with WEBHOOK_URL; as a production server has, handlers of its own."""
    with Standalone(**told(hooks)) as server:
        yield server


@pytest.fixture(scope="session")
def told_deployment(services: Services, hooks: Receiver) -> Iterator[Deployment]:
    """The production roles with WEBHOOK_URL."""
    with Deployment(services, **told(hooks)) as started:
        yield started


@pytest.fixture(params=["embedded", pytest.param("deployed", marks=pytest.mark.services)])
def server(request: pytest.FixtureRequest) -> Standalone | Deployment:
    """Each test runs twice: on the embedded default, and on the production roles over real services."""
    name = "told_standalone" if request.param == "embedded" else "told_deployment"
    found: Standalone | Deployment = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def breakable(hooks: Receiver) -> Iterator[Deployment]:
    """A deployment on services of its own, for tests that stop them. Each puts back what it broke."""
    with Services() as own, Deployment(own, **told(hooks)) as started:
        yield started
