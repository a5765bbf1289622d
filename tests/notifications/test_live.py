"""What a change looks like on its way to whoever watches, and that watching is never worth a task."""

import uuid
from typing import Any

import pytest

from notifications import layers, live
from tasks_app.signals import TaskChange
from tests.services.processes import free_port
from tests.tasks_app.making import NOW


def change(what: str) -> TaskChange:
    return TaskChange(
        task_id=uuid.UUID(int=1), owner_id=7, what=what, status="DONE", version=3, attempt=1, updated_at=NOW,
        message="all well", event_id=9,
    )  # fmt: skip


def test_a_status_change_carries_its_frame() -> None:
    item = live._item(change("succeeded"))
    assert (item["task_id"], item["owner_id"], item["version"]) == (str(uuid.UUID(int=1)), 7, 3)
    assert item["frame"] == {
        "task_id": str(uuid.UUID(int=1)), "status": "DONE", "updated_at": "2020-01-01T12:00:00.000000Z", "version": 3,
        "cursor": 9, "message": "all well",
    }  # fmt: skip


@pytest.mark.parametrize("what", ["progress", "log", "deleted"])
def test_what_is_no_status_change_has_no_frame(what: str) -> None:
    assert live._item(change(what))["frame"] is None


def test_without_redis_announcing_raises_nothing_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away: Any = layers.RedisLayer(hosts=[f"redis://127.0.0.1:{free_port()}/0"])
    with monkeypatch.context() as patch:
        patch.setattr(layers, "current", lambda: away)
        for _ in range(3):
            live.announce([change("succeeded")])
    live.announce([change("succeeded")])
    texts = [record.message for record in caplog.records if record.name == "notifications.live"]
    assert len(texts) == 2
    assert texts[0].startswith("Live updates are not getting through")
    assert texts[1] == "Live updates get through again"
