"""The TaskFlow clients: a job API (CONTRACTS, 2), on both ways to run the server."""

import uuid
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest

from tests.contracts.clients import LATER, Server, Watcher, is_problem, run_in_shell
from tests.servers import Standalone

TASKFLOW = ("task_id", "status", "title", "payload", "created_at", "updated_at", "finished_at")
TODO = ("id", "title", "description", "done")


def _moment(text: str) -> datetime:
    """Asserts ISO 8601 in UTC."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert found.utcoffset() == timedelta(0)
    return found


def test_a_submitted_job_comes_back_pending_with_all_its_fields(server: Server) -> None:
    before = datetime.now(timezone.utc)
    answer = server.api.call("POST", "/tasks", json={"title": "Job", "payload": {"message": "hi", "a": [1, None]}})
    assert answer.status_code == 201
    body = answer.json()
    assert str(uuid.UUID(body["task_id"])) == body["task_id"]
    assert (body["status"], body["title"], body["payload"], body["finished_at"]) == (
        "PENDING", "Job", {"message": "hi", "a": [1, None]}, None,
    )  # fmt: skip
    assert before - timedelta(seconds=5) < _moment(body["created_at"]) <= _moment(body["updated_at"])


def test_one_answer_holds_both_shapes(server: Server) -> None:
    body = server.api.submit("Both", description="D", payload={"message": "hi"})
    assert {*TASKFLOW, "task"} <= body.keys()
    assert {*TODO, *TASKFLOW} <= body["task"].keys()
    assert body["task"]["id"] == body["task"]["task_id"] == body["task_id"]


def test_every_task_object_holds_both_shapes(server: Server) -> None:
    task_id = server.api.submit(run_at=LATER)["id"]
    in_list = next(task for task in server.api.call("GET", "/tasks").json()["tasks"] if task["id"] == task_id)
    read = server.api.task(task_id)
    changed = server.api.call("PUT", f"/tasks/{task_id}", json={"title": "B"}).json()["task"]
    completed = server.api.call("PUT", f"/tasks/{task_id}/complete").json()["task"]
    for task in (in_list, read, changed, completed):
        assert {*TODO, *TASKFLOW} <= task.keys()
        assert task["id"] == task["task_id"] == task_id


def test_one_job_is_read_with_its_fields_at_the_top_level(server: Server) -> None:
    submitted = server.api.submit("Job", payload={"message": "hi"})
    task = server.api.wait(submitted["task_id"])
    assert {name: task[name] for name in ("task_id", "title", "payload", "created_at")} == {
        name: submitted[name] for name in ("task_id", "title", "payload", "created_at")
    }
    assert task["status"] == "DONE"
    assert _moment(task["created_at"]) <= _moment(task["finished_at"]) <= _moment(task["updated_at"])


def test_an_unknown_job_is_not_found(server: Server) -> None:
    is_problem(server.api.call("GET", f"/tasks/{uuid.uuid4()}"), 404)


@pytest.mark.parametrize(("length", "status"), [(1, 201), (255, 201), (256, 400)])
def test_a_title_has_up_to_255_characters(server: Server, length: int, status: int) -> None:
    answer = server.api.call("POST", "/tasks", json={"title": "ü" * length, "run_at": LATER})
    assert answer.status_code == status


def test_a_message_is_passed_on_in_the_status_event(server: Server) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(payload={"message": "Grüße 🎉"})["task_id"]
        frames = watcher.wait_for(task_id, "DONE")
    assert frames[-1]["message"] == "Grüße 🎉"


@pytest.mark.parametrize("payload", [{}, {"text": "hi"}, {"Message": "hi"}], ids=str)
def test_a_payload_without_message_fails_at_once_and_says_so(server: Server, payload: dict[str, str]) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(payload=payload)["task_id"]
        frames = watcher.wait_for(task_id, "FAILED")
    assert "message" in frames[-1]["message"]
    assert [frame["status"] for frame in frames] == ["PENDING", "PROCESSING", "FAILED"]
    task = server.api.task(task_id)
    assert (task["status"], task["attempt"], task["done"]) == ("FAILED", 1, False)


def test_a_request_without_payload_has_nothing_to_check(server: Server) -> None:
    assert server.api.wait(server.api.submit("No payload at all")["task_id"])["status"] == "DONE"


def test_an_unexpected_error_ends_failed_with_its_reason(server: Server) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(kind="bad_raise", payload={"what": "exception"})["task_id"]
        frames = watcher.wait_for(task_id, "FAILED")
    assert "a bug in the handler" in frames[-1]["message"]


def test_retries_wait_exponentially_longer(server: Server) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(kind="flaky")["task_id"]
        frames = watcher.wait_for(task_id, "FAILED")
    starts = [_moment(frame["updated_at"]) for frame in frames if frame["status"] == "PROCESSING"]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(starts)]
    assert len(gaps) == 3
    for gap, least in zip(gaps, (0.25, 0.75, 2.25), strict=True):
        assert gap >= least
    assert server.api.task(task_id)["error_code"] == "not_yet"


def test_a_retry_may_succeed(server: Server) -> None:
    task = server.api.wait(server.api.submit(kind="flaky", payload={"succeeds_at": 2})["task_id"])
    assert (task["status"], task["result"]) == ("DONE", {"attempt": 2})


def test_unknown_fields_are_ignored_and_those_of_the_product_accepted(server: Server) -> None:
    task = server.api.submit(
        "Rich", colour="red", done=True, status="DONE", id="mine", user={"name": "x"}, kind="message", priority=5,
        tags=["a"], metadata={"order": 7}, max_attempts=2, timeout=30, run_at=LATER,
    )  # fmt: skip
    assert "colour" not in task and task["done"] is False and task["status"] == "PENDING" and task["id"] != "mine"
    assert (task["kind"], task["priority"], task["tags"], task["metadata"]) == ("message", 5, ["a"], {"order": 7})
    assert (task["max_attempts"], task["timeout"]) == (2, 30)
    assert _moment(task["run_at"]) == datetime.fromisoformat(LATER)


def test_the_list_is_newest_first_and_paged_with_next_and_link(server: Server) -> None:
    ids = [server.api.submit(run_at=LATER)["id"] for _ in range(5)]
    seen: list[str] = []
    path = "/tasks?limit=2"
    while len(seen) < 5:
        answer = server.api.call("GET", path)
        page = answer.json()
        assert len(page["tasks"]) == 2
        assert answer.headers["Link"] == f'<{page["next"]}>; rel="next"'
        seen += [task["id"] for task in page["tasks"]]
        path = page["next"].removeprefix(server.url)
    assert seen[:5] == ids[::-1]


def test_the_last_page_leads_nowhere(server: Server) -> None:
    server.api.submit(run_at=LATER)
    found = server.api.all()
    last = server.api.call("GET", f"/tasks?after={found[-1]['id']}")
    assert last.json() == {"tasks": [], "next": None} and "Link" not in last.headers
    assert len({task["id"] for task in found}) == len(found)


def test_a_page_holds_up_to_a_thousand_and_nothing_is_cut_silently() -> None:
    with Standalone() as server:
        run_in_shell(
            server,
            "from datetime import timedelta; from django.utils import timezone; from tasks_app import lifecycle, identity\n"
            "from tasks_app.validation import NewTask\n"
            "later = timezone.now() + timedelta(days=9); owner = identity.local_user().pk\n"
            "new = [NewTask(title=f'{n}', run_at=later) for n in range(1005)]\n"
            "lifecycle.submit_many(new, owner_id=owner, who='test')",
        )
        first = server.api.call("GET", "/tasks").json()
        assert len(first["tasks"]) == 1000 and first["next"]
        assert len({task["id"] for task in server.api.all()}) == 1005
