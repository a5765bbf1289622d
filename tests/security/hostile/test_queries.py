"""Every parameter of every address of /api/v1 with what makes no sense, SQL in it, or a cursor that somebody changed."""

import base64
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.clients import LATER
from tests.security.hostile.world import SECRET, World, refused

TASKS = "/api/v1/tasks"
BAD_NUMBERS = [
    "", "0", "-1", "201", "1.0", "1e2", "x", "0x10", "+5", " 5", "1_0", "%D9%A3", "%00", "9" * 30, "9" * 5000, "NaN", "null",
    "1;DROP TABLE tasks_app_task", "5%0A",
]  # fmt: skip
BAD_MOMENTS = [
    "", "x", "now", "7", "2026-13-01T00:00:00Z", "2026-02-30", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+99:99", "%00",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "9" * 3000, "' OR 1=1--",
    "2026-01-01T00:00:00Z'; SELECT pg_sleep(9)--", "{{7*7}}",
]  # fmt: skip
LIST: list[tuple[str, str]] = [
    *[("limit", value) for value in BAD_NUMBERS],
    *[("created_after", value) for value in BAD_MOMENTS],
    *[(name, value) for name in ("created_before", "finished_after", "finished_before") for value in BAD_MOMENTS[:4]],
    *[("status", value) for value in ("", "done", "DONE ", "DONE,FAILED", "7", "%00", "' OR 1=1--", "x" * 5000)],
    *[("order", value) for value in (
        "", "id", "-id", "owner", "owner__password", "?", "created,id", "--created", "created desc", "CREATED", "%00",
        "1;SELECT 1", "(SELECT 1)", "priority", "-priority", "x" * 5000,
    )],
    *[("kind", value) for value in ("", "%00", "a%00b", "x" * 101)],
    *[("tag", value) for value in ("", "%00", "x" * 51, "a%00")],
    *[("owner", value) for value in ("", "%00", "x" * 151)],
    *[("q", value) for value in ("", "a", "ab", "%00", "abc%00", "x" * 201, "a b c d e f g h i", "   ", "%E2%80%83")],
    *[(name, "1") for name in (
        "page", "offset", "owner_id", "owner__username", "status__in", "id", "pk", "is_superuser", "limit[]", "Limit",
        "title__regex", "__class__", "%00", "format", "callback", "fields", "x" * 5000, "%FF", "' OR 1=1--",
    )],
]  # fmt: skip


def _case(value: str) -> str:
    return value[:30]


@pytest.mark.parametrize(("name", "value"), LIST, ids=_case)
def test_a_list_that_cannot_be_is_refused_by_name(world: World, name: str, value: str) -> None:
    body = refused(world.call("GET", f"{TASKS}?{name}={value}"), 400, "invalid")
    assert len(body["errors"]) == 1
    assert len(json.dumps(body)) < 3000


MARK = Path(tempfile.gettempdir()) / "taskmanager-was-injected"  # the same in every worker of xdist
SQL = [
    "' OR 1=1--", "' OR ''='", '" OR ""="', "'; DROP TABLE tasks_app_task; --", "abc') OR 1=1 --", "abc%' OR '1'='1",
    "' UNION SELECT password FROM auth_user--", "1; SELECT pg_sleep(9)", "abc' AND (SELECT randomblob(1000000000))--",
    "%%%", "___", "abc\\", "\\\\\\", "%s%s%s", "{0.__class__}", "{{7*7}}", "{% debug %}",
    f"$(touch {MARK})", f"`touch {MARK}`", "../../etc",
    "ＯＲ 1＝1", "ﬃﬃﬃ", "İİİ", "\u202eabc", "abc\r\nX-Injected: yes",
]  # fmt: skip


@pytest.mark.parametrize("parameter", ["q", "tag", "kind"])
@pytest.mark.parametrize("text", SQL, ids=ascii)
def test_what_is_no_word_of_ours_finds_nothing(world: World, parameter: str, text: str) -> None:
    """A placeholder of the database's takes it as it is: it neither matches rows nor is it carried out."""
    MARK.unlink(missing_ok=True)
    answer = world.call("GET", TASKS, params={parameter: text})
    assert (answer.status_code, answer.json()["tasks"]) == (200, [])
    assert "X-Injected" not in answer.headers
    assert not MARK.exists()


@pytest.mark.parametrize("text", [SECRET, f"{SECRET} title", "title", SECRET.lower()])
def test_words_and_tags_of_others_find_nothing(world: World, text: str) -> None:
    for parameter in ("q", "tag"):
        assert world.call("GET", TASKS, params={parameter: text}).json()["tasks"] == []


@pytest.mark.parametrize("owner", ["bob", "alice", "root", "nobody", "' OR 1=1--", "*", "BOB"])
def test_only_who_sees_all_may_ask_for_an_owner(world: World, owner: str) -> None:
    refused(world.call("GET", TASKS, params={"owner": owner}), 403, "forbidden")


OTHERS = [
    ("GET", "/api/v1/tasks/{own}?wait=x"), ("GET", "/api/v1/tasks/{own}?wait=-1"), ("GET", "/api/v1/tasks/{own}?wait=31"),
    ("GET", "/api/v1/tasks/{own}?wait=1e9"), ("GET", "/api/v1/tasks/{own}?wait=" + "9" * 400),
    ("GET", "/api/v1/tasks/{own}?wait=%00"), ("GET", "/api/v1/tasks/{own}?fields=owner"),
    ("GET", "/api/v1/tasks/{own}/events?limit=0"), ("GET", "/api/v1/tasks/{own}/events?limit=201"),
    ("GET", "/api/v1/tasks/{own}/events?order=-id"), ("GET", "/api/v1/tasks/{own}/events?order=%00"),
    ("GET", "/api/v1/tasks/{own}/events?since=1"), ("GET", "/api/v1/tasks/{own}/events?task_id={theirs}"),
    ("GET", "/api/v1/tasks/{own}/deliveries?limit=x"), ("GET", "/api/v1/tasks/{own}/deliveries?limit=201"),
    ("GET", "/api/v1/tasks/{own}/deliveries?limit=%D9%A3"), ("GET", "/api/v1/tasks/{own}/deliveries?status=FAILED"),
    ("GET", "/api/v1/tasks/{own}/deliveries?%00=1"), ("GET", "/api/v1/tasks/{own}/deliveries?event__task_id={theirs}"),
    ("GET", "/api/v1/kinds?q=x"), ("GET", "/api/v1/me?user=bob"), ("GET", "/api/v1/me?%00"),
    ("GET", "/api/v1/tokens?owner=bob"), ("GET", "/api/v1/tokens?limit=1"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), OTHERS, ids=lambda value: value[:60])
def test_a_parameter_that_makes_no_sense_is_refused(world: World, method: str, path: str) -> None:
    path = path.format(own=world.own["id"], theirs=world.theirs["id"])
    refused(world.call(method, path), 400, "invalid")


def test_a_thousand_parameters_are_refused(world: World) -> None:
    refused(world.call("GET", f"{TASKS}?" + "&".join(f"status={number}" for number in range(1100))), 400, "bad_request")


BELOW_A_TASK = ["", "/events", "/deliveries", "/complete", "/cancel", "/reopen", "/rerun"]
NO_IDS = [
    "x", "7", "-1", "null", "%00", "%FF", "..", "%2e%2e%2fadmin", "'", "' OR 1=1--", "{}", "{{7*7}}", "x" * 4000,
    "00000000-0000-0000-0000-000000000000", "%F0%9F%8E%89", "me", "*",
]  # fmt: skip


NOT_FOUND = [(key, below) for below in BELOW_A_TASK for key in (NO_IDS[::5] if below else NO_IDS)]


@pytest.mark.parametrize(("task_id", "below"), NOT_FOUND, ids=_case)
def test_what_is_no_id_is_not_found(world: World, task_id: str, below: str) -> None:
    method = "GET" if below in ("", "/events", "/deliveries") else "POST"
    body = refused(world.call(method, f"{TASKS}/{task_id}{below}"), 404, "not_found")
    assert task_id not in body["detail"] or len(task_id) < 3


@pytest.mark.parametrize("below", BELOW_A_TASK, ids=lambda value: value or "itself")
@pytest.mark.parametrize("how", ["{}", "{{{}}}", "urn:uuid:{}", "plain", "upper"])
def test_the_task_of_another_is_not_found_however_its_id_is_written(world: World, below: str, how: str) -> None:
    key = world.theirs["id"]
    text = {"plain": key.replace("-", ""), "upper": key.upper()}.get(how) or how.format(key)
    for method in (
        ("GET", "PATCH", "DELETE") if not below else ("GET",) if below in ("/events", "/deliveries") else ("POST",)
    ):
        refused(world.call(method, f"{TASKS}/{text}{below}", json={}), 404, "not_found")


TOKEN_IDS = ["0", "-1", "x", "1.0", "9" * 18, "9" * 30, "%00", "%D9%A1", "' OR 1=1--", "01a", "{theirs}", "x" * 4000]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("token_id", TOKEN_IDS, ids=_case)
def test_no_token_but_ones_own_is_found(world: World, method: str, token_id: str) -> None:
    token_id = token_id.format(theirs=world.people["bob"]["token_id"])
    refused(world.call(method, f"/api/v1/tokens/{token_id}"), 404, "not_found")


@pytest.mark.parametrize("kind", ["x", "%00", "%FF", "MESSAGE", "__class__", "' OR 1=1--", "{{7*7}}", "x" * 4000])
def test_an_unknown_kind_is_not_found(world: World, kind: str) -> None:
    refused(world.call("GET", f"/api/v1/kinds/{kind}"), 404, "not_found")


# ---- Cursors ---------------------------------------------------------------------------------------------------------


def _cursor(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


TIME, KEY = "2026-01-01T00:00:00+00:00", "00000000-0000-7000-8000-000000000001"
FORGED: dict[str, str] = {
    "text": "x", "no base64": "!!!!", "plus": "a+b/c", "NUL": "a%E2%90%80", "no UTF-8": "%FF",
    "other script": "%D9%A3", "JSON": "[1]",
    "too long": "A" * 401, "far too long": "A" * 7000, "bytes": _cursor(b"\xff\x00\xfe"), "null": _cursor(None),
    "number": _cursor(7), "object": _cursor({"-created": 1}), "empty": _cursor([]), "of nothing": _cursor(""),
    "name alone": _cursor(["-created"]), "too few": _cursor(["-created", TIME]), "too many": _cursor(["-created", TIME, KEY, 1]),
    "other order": _cursor(["created", TIME, KEY]), "of no order": _cursor(["password", TIME, KEY]),
    "no time": _cursor(["-created", "x", KEY]), "time without zone": _cursor(["-created", "2026-01-01T00:00:00", KEY]),
    "time as number": _cursor(["-created", 7, KEY]), "time past the end": _cursor(["-created", "9999-12-31T23:59:59-23:59", KEY]),
    "SQL for a time": _cursor(["-created", "'; DROP TABLE tasks_app_task --", KEY]),
    "SQL for an id": _cursor(["-created", TIME, "' OR 1=1--"]), "id as number": _cursor(["-created", TIME, 7]),
    "id as list": _cursor(["-created", TIME, [KEY]]), "id as object": _cursor(["-created", TIME, {"a": 1}]),
    "nested": _cursor([["-created"], [TIME], [KEY]]), "deep": _cursor(b"[" * 280), "NaN": _cursor(b'["-created", NaN, 1]'),
    "huge number": _cursor(["oldest", 10**30]), "negative number": _cursor(["oldest", -(10**30)]),
    "switch": _cursor(["oldest", True]), "pickle": _cursor(b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix."),
}  # fmt: skip


PAGED = [(TASKS, name) for name in FORGED] + [
    (f"{TASKS}/{{own}}/{below}", name) for below in ("events", "deliveries") for name in list(FORGED)[::3]
]


@pytest.mark.parametrize(("path", "name"), PAGED, ids=_case)
def test_a_cursor_that_is_not_ours_is_refused(world: World, path: str, name: str) -> None:
    refused(world.call("GET", f"{path.format(own=world.own['id'])}?cursor={FORGED[name]}"), 400, "bad_cursor")


@pytest.fixture(scope="module")
def cursors(world: World) -> Iterator[dict[str, str]]:
    """Good ones: of alice's list, of bob's, of all, and of another list."""
    made = []
    for who in ("alice", "bob"):
        for title in ("One", "Two"):
            body = {"title": f"{SECRET if who == 'bob' else ''} {title}", "run_at": LATER}
            made.append(world.call("POST", TASKS, who=who, json=body).json()["id"])

    def of(path: str, who: str) -> str:
        following = world.call("GET", path, who=who).json()["next"]
        return str(following.split("cursor=")[1])

    update = world.call("PATCH", f"{TASKS}/{made[0]}", json={"title": "Changed"})
    assert update.status_code == 200
    yield {
        "own": of(f"{TASKS}?limit=1", "alice"), "theirs": of(f"{TASKS}?limit=1", "bob"),
        "all": of(f"{TASKS}?limit=3", "olga"), "events": of(f"{TASKS}/{made[0]}/events?limit=1", "alice"),
        "oldest": of(f"{TASKS}?limit=1&order=created", "alice"),
    }  # fmt: skip
    for key in made:
        world.remove(key)


@pytest.mark.parametrize("name", ["own", "theirs", "all"])
def test_a_cursor_gives_no_right(world: World, cursors: dict[str, str], name: str) -> None:
    """It only says where to go on in what one may see anyway; what is bob's in an answer fails in `call`."""
    answer = world.call("GET", f"{TASKS}?cursor={cursors[name]}")
    assert answer.status_code == 200
    assert {task["owner"] for task in answer.json()["tasks"]} <= {"alice"}


@pytest.mark.parametrize(
    ("name", "query"),
    [("events", ""), ("oldest", ""), ("own", "&order=created"), ("own", "&order=-finished"),
     ("own", "&order=priority&status=PENDING"), ("theirs", "&order=created")],
)  # fmt: skip
def test_a_cursor_of_another_list_is_refused(world: World, cursors: dict[str, str], name: str, query: str) -> None:
    refused(world.call("GET", f"{TASKS}?cursor={cursors[name]}{query}"), 400, "bad_cursor")


@pytest.mark.parametrize("position", [0, 4, 8, 14, 30, 50, -8, -2])
def test_a_cursor_with_one_letter_changed_shows_nothing_of_others(
    world: World, cursors: dict[str, str], position: int
) -> None:
    good = list(cursors["all"])
    good[position] = "A" if good[position] != "A" else "B"
    answer = world.call("GET", f"{TASKS}?cursor={''.join(good)}")
    if answer.status_code == 200:  # another place in one's own list
        assert {task["owner"] for task in answer.json()["tasks"]} <= {"alice"}
    else:
        refused(answer, 400, "bad_cursor")
