"""The server that all of this is sent to. It must be as well after each module as it was before."""

from collections.abc import Iterator

import pytest

from tests.security.hostile.world import World
from tests.servers import Standalone


@pytest.fixture(scope="session")
def closed_world() -> Iterator[World]:
    """A server that asks everybody who they are, with two owners on it."""
    with Standalone(ANONYMOUS_API="off", LOGIN_RATE="0") as server:
        yield World(server)


@pytest.fixture(scope="module")
def world(closed_world: World) -> Iterator[World]:
    """Whatever a module sends: every task and token is as it was, the server answers, its log is free of tracebacks."""
    before = closed_world.state()
    yield closed_world
    assert closed_world.state() == before
    closed_world.assert_healthy()
