"""`/ws`: one JSON text frame for every status change of every task (CONTRACTS, 2)."""

import uuid
from datetime import datetime, timedelta

from tests.contracts.clients import LATER, Server, Watcher, cancel, statuses, versions
from tests.servers import Gate
from tests.services.processes import eventually


def test_every_status_change_is_one_text_frame_in_version_order(server: Server) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(payload={"message": "hi"})["task_id"]
        frames = watcher.wait_for(task_id, "DONE")
    assert all(isinstance(text, str) for text in watcher.texts)
    assert [frame["status"] for frame in frames] == ["PENDING", "PROCESSING", "DONE"]
    assert versions(frames) == [1, 2, 3]
    for frame in frames:
        assert {"task_id", "status", "updated_at"} <= frame.keys()
        assert uuid.UUID(frame["task_id"])
        assert datetime.fromisoformat(frame["updated_at"].replace("Z", "+00:00")).utcoffset() == timedelta(0)
    assert "message" not in frames[0] and frames[-1]["message"] == "hi"


def test_frames_agree_with_what_the_api_says(server: Server) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(payload={"message": "hi"})["task_id"]
        last = watcher.wait_for(task_id, "DONE")[-1]
    task = server.api.task(task_id)
    assert (last["status"], last["updated_at"], last["version"]) == (
        task["status"], task["updated_at"], task["version"],
    )  # fmt: skip


def test_what_people_do_is_told_too(server: Server) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(run_at=LATER)["task_id"]
        cancel(server, task_id)
        assert watcher.of(task_id) or server.api.task(task_id)["status"] == "CANCELLED"
        server.api.call("PUT", f"/tasks/{task_id}", json={"done": False})
        watcher.wait_for(task_id, "DONE")
        server.api.call("PUT", f"/tasks/{task_id}", json={"done": False, "title": "Again"})
        eventually(lambda: watcher.of(task_id)[-1]["version"] == 9, message="version 9")
        frames = watcher.of(task_id)
    assert statuses(frames)[-3:] == ["PENDING", "PROCESSING", "DONE"]
    assert versions(frames) == sorted(versions(frames))


def test_everybody_who_watches_sees_every_task(server: Server) -> None:
    with Watcher(server) as one, Watcher(server) as other:
        ids = [server.api.submit(payload={"message": str(number)})["task_id"] for number in range(20)]
        for watcher in (one, other):
            for task_id in ids:
                assert versions(watcher.wait_for(task_id, "DONE")) == [1, 2, 3]


def test_a_socket_may_be_narrowed_to_one_task(server: Server, gate: Gate) -> None:
    task_id = server.api.submit(**gate.order)["task_id"]
    with Watcher(server, f"?task_id={task_id}") as watcher:
        server.api.wait(server.api.submit()["task_id"])
        gate.open()
        watcher.wait_for(task_id, "DONE")
        assert {frame["task_id"] for frame in watcher.frames} == {task_id}


def test_a_client_that_comes_back_gets_what_it_missed(server: Server) -> None:
    with Watcher(server) as watcher:
        first = server.api.submit()["task_id"]
        cursor = watcher.wait_for(first, "DONE")[-1]["cursor"]
    missed = server.api.submit(payload={"message": "while away"})["task_id"]
    server.api.wait(missed)
    with Watcher(server, f"?since={cursor}") as watcher:
        frames = watcher.wait_for(missed, "DONE")
        assert versions(frames) == [1, 2, 3]
        assert frames[-1]["message"] == "while away"
        fresh = server.api.submit()["task_id"]
        assert versions(watcher.wait_for(fresh, "DONE")) == [1, 2, 3]


def test_a_deleted_task_does_not_disturb_who_watches(server: Server) -> None:
    with Watcher(server) as watcher:
        server.api.call("DELETE", f"/tasks/{server.api.submit(run_at=LATER)['id']}")
        assert versions(watcher.wait_for(server.api.submit()["id"], "DONE")) == [1, 2, 3]
