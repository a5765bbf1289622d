"""`GET /healthz`: pings database, broker and Redis (CONTRACTS, 2)."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.clients import JSON, Server
from tests.servers import Deployment
from tests.services.processes import ManagedProcess, eventually
from tests.services.stack import Services

Pick = Callable[[Services], ManagedProcess]
NAMES = {"database", "broker", "channel_layer"}


def test_healthz_is_200_and_names_each_when_all_answer(server: Server) -> None:
    answer = server.api.call("GET", "/healthz")
    assert answer.status_code == 200
    assert answer.json()["checks"].keys() == NAMES
    assert all(check["ok"] for check in answer.json()["checks"].values())


def _ill(deployment: Deployment) -> JSON:
    answer = deployment.api.call("GET", "/healthz")
    assert answer.status_code == 503
    checks: JSON = answer.json()["checks"]
    assert checks.keys() == NAMES
    return {name: check["error"] for name, check in checks.items() if not check["ok"]}


def _well(deployment: Deployment) -> bool:
    return deployment.api.call("GET", "/healthz").status_code == 200


PICKS: dict[str, Pick] = {
    "database": lambda services: services.postgres,
    "broker": lambda services: services.rabbitmq,
    "channel_layer": lambda services: services.redis,
}


@pytest.mark.services
@pytest.mark.parametrize("how", ["stopped", "paused"])
@pytest.mark.parametrize("name", PICKS)
def test_healthz_is_503_and_names_what_does_not_answer(breakable: Deployment, name: str, how: str) -> None:
    service: Any = PICKS[name](breakable.services)
    service.stop() if how == "stopped" else service.pause()
    try:
        eventually(lambda: _ill(breakable).keys() == {name}, message=f"{name} alone is ill")
        found = _ill(breakable)
        assert isinstance(found[name], str) and found[name]
    finally:
        service.start() if how == "stopped" else service.resume()
    eventually(lambda: _well(breakable), message="healthy again")


@pytest.mark.services
def test_two_that_are_away_are_both_named(breakable: Deployment) -> None:
    breakable.services.redis.pause()
    breakable.services.rabbitmq.pause()
    try:
        eventually(lambda: _ill(breakable).keys() == {"broker", "channel_layer"}, message="both are ill")
    finally:
        breakable.services.rabbitmq.resume()
        breakable.services.redis.resume()
    eventually(lambda: _well(breakable), message="healthy again")
