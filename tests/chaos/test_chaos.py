"""The short version of `make chaos`: one fault of each sort, under load."""

from collections.abc import Iterator

import pytest

from tests.chaos.cases import EVERY, SHORT
from tests.chaos.run import run
from tests.chaos.stage import Deployed, Embedded, Stage, opened

pytestmark = pytest.mark.services
SEED = 1


@pytest.fixture(scope="module")
def deployed() -> Iterator[Stage]:
    with opened(Deployed(seed=SEED)) as stage:
        yield stage


@pytest.fixture(scope="module")
def embedded() -> Iterator[Stage]:
    with opened(Embedded(seed=SEED)) as stage:
        yield stage


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost(name: str, request: pytest.FixtureRequest) -> None:
    case = EVERY[name]
    stage = request.getfixturevalue("embedded" if case.stage is Embedded else "deployed")
    verdict = run(case, name, stage, seed=SEED)
    print(*verdict.slow, sep="\n")  # how long it takes is for `make chaos` to say, on a machine that does nothing else
    assert verdict.problems == []
    assert (verdict.lost, verdict.settled_twice, verdict.webhooks_missing) == (0, 0, 0)
    assert verdict.accepted == verdict.terminal >= 300
