"""The examples as their READMEs start them: by EXTRA_APPS, on the embedded default."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Standalone
from tests.services.processes import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[Standalone]:
    with Standalone(EXTRA_APPS="examples.csv_import") as started:
        (started.directory / "data" / "imports").mkdir()
        yield started


def put(server: Standalone, name: str, content: bytes) -> None:
    """A file appears whole, as after an upload."""
    path = server.directory / "data" / "imports" / name
    draft = path.with_suffix(".part")
    draft.write_bytes(content)
    draft.rename(path)


def submit(server: Standalone, file: str, **payload: Any) -> str:
    return str(server.api.submit(file, kind="csv_import", payload={"file": file, **payload})["id"])


def query(server: Standalone, sql: str, *values: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{server.directory / 'data' / 'db.sqlite3'}?mode=ro", uri=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def contacts(server: Standalone, domain: str) -> dict[str, str]:
    rows = query(server, "SELECT email, name FROM csv_import_contact WHERE email LIKE ?", f"%@{domain}")
    return dict(rows)


def history(server: Standalone, task_id: str) -> str:
    rows = query(server, "SELECT why FROM tasks_app_taskevent WHERE task_id = ?", task_id.replace("-", ""))
    return "\n".join(str(row[0]) for row in rows)


def test_the_rows_of_a_file_become_contacts(server: Standalone) -> None:
    rows = b"\xef\xbb\xbfemail,name\nAnn@one.example,Ann\nnobody,Bob\nann@one.example,Anna\nzo\xc3\xab@one.example\n"
    put(server, "one.csv", rows + b"c@one.example,C\xc3\xa9line\0\n")
    task = server.api.wait(submit(server, "one.csv"))
    assert (task["status"], task["result"]) == ("DONE", {"imported": 2, "skipped": 2})
    assert contacts(server, "one.example") == {"ann@one.example": "Anna", "c@one.example": "Céline"}
    assert "Row 2 skipped: 'nobody' is no e-mail address." in history(server, task["id"])


def test_importing_a_file_again_changes_what_is_there(server: Standalone) -> None:
    for name in ("Ann", "Anna"):
        put(server, "again.csv", f"email,name\na@again.example,{name}\n".encode())
        assert server.api.wait(submit(server, "again.csv"))["status"] == "DONE"
    assert contacts(server, "again.example") == {"a@again.example": "Anna"}


def test_a_file_that_comes_later_is_waited_for(server: Standalone) -> None:
    task_id = submit(server, "late.csv")
    eventually(lambda: "There is no file late.csv yet." in history(server, task_id))
    put(server, "late.csv", b"email,name\na@late.example,Ann\n")
    assert server.api.wait(task_id)["status"] == "DONE"
    assert contacts(server, "late.example") == {"a@late.example": "Ann"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no column email, name"),
        (b"email,first\na@bad.example,A\n", "no column name"),
        (b"email,name\na@bad.example,\xff\n", "cannot be read"),
        (b"email,name\na@bad.example," + b"x" * 200_000, "cannot be read"),
    ],
)
def test_a_bad_file_fails_at_once_and_writes_nothing(server: Standalone, content: bytes, why: str) -> None:
    put(server, "bad.csv", content)
    task = server.api.wait(submit(server, "bad.csv"))
    assert (task["status"], task["attempt"]) == ("FAILED", 1)
    assert why in history(server, task["id"])
    assert contacts(server, "bad.example") == {}


@pytest.mark.parametrize("name", ["../settings.csv", "/etc/passwd", "a.csv\n", "a/b.csv", ".csv", "a.txt"])
def test_no_other_file_can_be_named(server: Standalone, name: str) -> None:
    answer = server.api.call("POST", "/tasks", json={"title": "T", "kind": "csv_import", "payload": {"file": name}})
    assert answer.status_code == 400, answer.text


def test_an_import_taken_away_stops_and_writes_nothing(server: Standalone) -> None:
    put(server, "slow.csv", b"email,name\n" + b"".join(b"%d@slow.example,N\n" % number for number in range(10_000)))
    task_id = submit(server, "slow.csv", rows_per_second=10)
    eventually(lambda: "of 10000 rows" in server.api.task(task_id)["message"])
    assert server.api.call("DELETE", f"/tasks/{task_id}").status_code in (200, 204)
    stopped = f"task_id={task_id} title='slow.csv' outcome=fail"
    eventually(lambda: stopped in Path(server.log).read_text())
    assert contacts(server, "slow.example") == {}
