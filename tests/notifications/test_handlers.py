"""The kind `http_request`, through the real runner against receivers on loopback."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from notifications import addresses
from notifications.handlers import BODY_BYTES
from notifications.sender import seconds_until_retry
from tasks_app import lifecycle, pipeline, runner
from tasks_app.exceptions import InvalidTask
from tasks_app.models import Task, TaskEvent
from tasks_app.validation import NewTask
from tests.database import django_db_setup  # noqa: F401
from tests.notifications.receiver import Receiver as RawReceiver
from tests.notifications.receiver import answering, dripping, silent
from tests.servers import Standalone
from tests.services.processes import PATIENCE, free_port
from tests.services.receiver import Answer, Receiver
from tests.tasks_app.making import came_to


@pytest.fixture
def open_loopback(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    yield
    assert pipeline.publisher.flush(timeout=PATIENCE)


@pytest.fixture
def public_loopback(open_loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 as if anybody may be sent there: the only public address that a test can listen on."""
    monkeypatch.setattr(addresses, "_DENIED_IPV4", ())


def submit(**payload: Any) -> Task:
    return lifecycle.submit(NewTask(title="Call", kind="http_request", payload=payload), owner_id=None, who="test")


def run(task: Task) -> Task:
    """The task after one attempt, made now even if it should wait."""
    Task.objects.filter(pk=task.pk).update(run_at=datetime.now(timezone.utc) - timedelta(seconds=1))
    runner.run([task.pk])
    return Task.objects.get(pk=task.pk)


def ran(**payload: Any) -> Task:
    return run(submit(**payload))


def result(task: Task) -> dict[str, Any]:
    assert task.status == "DONE", (task.error_code, task.error_message)
    return dict(json.loads(task.result) if isinstance(task.result, str) else task.result or {})


def outcome(task: Task) -> tuple[str, str]:
    return task.status, task.error_code


# ---- What is sent ---------------------------------------------------------------------------------------------------


def test_a_get_is_sent_as_asked(open_loopback: None, receiver: Receiver) -> None:
    ran(url=receiver.url("/a?b=c"), headers={"Accept": "text/html", "X-Own": "yes"})
    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("GET", "/a?b=c", b"")
    assert (request.headers["accept"], request.headers["x-own"]) == ("text/html", "yes")
    assert request.headers["user-agent"].startswith("Taskmanager/")
    assert "idempotency-key" not in request.headers and "content-type" not in request.headers


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_arrives(open_loopback: None, receiver: Receiver, method: str) -> None:
    assert result(ran(url=receiver.url(), method=method))["status"] == 200
    assert [request.method for request in receiver.requests] == [method]


@pytest.mark.parametrize(
    ("payload", "body", "content_type"),
    [
        ({"json": {"a": ["é", None, 1.5]}}, '{"a":["é",null,1.5]}'.encode(), "application/json"),
        ({"json": None}, b"null", "application/json"),
        ({"json": ""}, b'""', "application/json"),
        ({"json": 1, "headers": {"Content-Type": "application/ld+json"}}, b"1", "application/ld+json"),
        ({"body": "é\r\n"}, "é\r\n".encode(), "text/plain; charset=utf-8"),
        ({"body": "a=b", "headers": {"content-type": "application/x-www-form-urlencoded"}}, b"a=b",
         "application/x-www-form-urlencoded"),
    ],
)  # fmt: skip
def test_the_body_is_text_or_json(
    open_loopback: None, receiver: Receiver, payload: dict[str, Any], body: bytes, content_type: str
) -> None:
    result(ran(url=receiver.url(), method="POST", **payload))
    [request] = receiver.requests
    assert (request.body, request.headers["content-type"]) == (body, content_type)


def test_the_idempotency_key_is_the_same_over_all_attempts(open_loopback: None, receiver: Receiver) -> None:
    receiver.respond_in_order(503)
    task = submit(url=receiver.url(), method="POST")
    assert outcome(run(task)) == ("PENDING", "http_status")
    assert run(task).status == "DONE"
    assert [request.headers["idempotency-key"] for request in receiver.requests] == [str(task.pk)] * 2


def test_an_idempotency_key_of_ones_own_stands(open_loopback: None, receiver: Receiver) -> None:
    ran(url=receiver.url(), method="PUT", headers={"Idempotency-Key": "mine"})
    assert receiver.requests[0].headers["idempotency-key"] == "mine"


# ---- What is kept of the answer -------------------------------------------------------------------------------------


def test_the_answer_is_the_result(public_loopback: None, receiver: Receiver) -> None:
    headers = {"Content-Type": "text/plain", "ETag": '"1"', "Set-Cookie": "a=b", "X-Secret": "s"}
    receiver.respond(Answer(201, headers=headers, body="né".encode()))
    found = result(ran(url=receiver.url(), method="POST"))
    assert (found["status"], found["body"], found["body_complete"]) == (201, "né", True)
    assert found["headers"] == {"content-type": "text/plain", "etag": '"1"', "content-length": "3"}
    assert found["timings_ms"].keys() == {"dns", "connect", "first_byte", "total"}


def test_the_answer_of_an_address_that_is_not_public_is_not_kept(open_loopback: None, receiver: Receiver) -> None:
    receiver.respond(Answer(200, headers={"Content-Type": "text/plain"}, body=b"internal"))
    task = ran(url=receiver.url())
    found = result(task)
    assert (found["status"], found["body"], found["body_complete"]) == (200, None, False)
    receiver.respond(Answer(404, body=b"internal"))
    failed = ran(url=receiver.url())
    told = [
        str(value)
        for row in TaskEvent.objects.filter(task_id__in=[task.pk, failed.pk]).values()
        for value in row.values()
    ]
    assert not any("internal" in text for text in [*told, json.dumps(found), failed.error_message])


@pytest.mark.parametrize(
    ("body", "complete"),
    [
        (b"", True),
        (b"x" * 1000, True),
        (b"x" * (BODY_BYTES - 4), True),
        (b"x" * (BODY_BYTES + 1), False),
        (b"x" * 300_000, False),
        (b"\x01" * 300_000, False),
        (b"\xff" * 300_000, False),
        (b"a\0b", True),
    ],
)
def test_long_and_odd_bodies_are_cut_to_what_a_result_may_hold(
    public_loopback: None, receiver: Receiver, body: bytes, complete: bool
) -> None:
    receiver.respond(Answer(200, body=body))
    found = result(ran(url=receiver.url()))
    assert found["body_complete"] is complete
    assert len(found["body"].encode()) <= BODY_BYTES


def test_an_answer_that_drips_ends_at_the_time_limit_and_counts(public_loopback: None) -> None:
    with RawReceiver(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x")) as receiver:
        found = result(ran(url=receiver.url(host="127.0.0.1"), timeout_seconds=1))
    assert (found["status"], found["body_complete"]) == (200, False)
    assert found["timings_ms"]["total"] < PATIENCE * 1000


# ---- Again, or never again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_these_answers_are_tried_again(open_loopback: None, receiver: Receiver, status: int) -> None:
    receiver.respond(status)
    task = ran(url=receiver.url())
    assert (*outcome(task), task.error_message) == ("PENDING", "http_status", f"Answered {status}.")


@pytest.mark.parametrize("status", [301, 302, 304, 400, 401, 403, 404, 409, 410, 422])
def test_these_answers_are_final(open_loopback: None, receiver: Receiver, status: int) -> None:
    receiver.respond(Answer(status, headers={"Location": receiver.url("/other")}))
    task = ran(url=receiver.url())
    assert outcome(task) == ("FAILED", "http_status")
    assert f"Answered {status}." in task.error_message
    assert [request.path for request in receiver.requests] == ["/"]


@pytest.mark.parametrize(
    ("expect", "status", "ended"),
    [
        ([404], 404, "DONE"),
        ([404], 200, "FAILED"),
        ([302], 302, "DONE"),
        ([200, 503], 503, "DONE"),
        ([200], 503, "PENDING"),
        ([201], 204, "FAILED"),
    ],
)
def test_the_payload_says_what_counts_as_success(
    open_loopback: None, receiver: Receiver, expect: list[int], status: int, ended: str
) -> None:
    receiver.respond(status)
    assert ran(url=receiver.url(), expect=expect).status == ended


def test_a_failed_answer_of_a_public_address_is_in_the_history(public_loopback: None, receiver: Receiver) -> None:
    receiver.respond(Answer(422, body=b"name is missing"))
    task = ran(url=receiver.url())
    told = [str(value) for row in TaskEvent.objects.filter(task_id=task.pk).values() for value in row.values()]
    assert any("Answered 422: name is missing" in text for text in told)


def test_retry_after_is_heeded(open_loopback: None, receiver: Receiver) -> None:
    receiver.respond(Answer(429, headers={"Retry-After": "1000"}))
    before = datetime.now(timezone.utc)
    assert came_to(ran(url=receiver.url()).run_at, 1000, since=before)


@pytest.mark.parametrize("value", ["0", "-5", "soon", "²", ""])
def test_a_retry_after_that_says_nothing_leaves_the_backoff(
    open_loopback: None, receiver: Receiver, value: str
) -> None:
    receiver.respond(Answer(503, headers={"Retry-After": value}))
    before = datetime.now(timezone.utc)
    assert came_to(ran(url=receiver.url()).run_at, 3, 9, since=before)


def test_retry_after_is_seconds_or_a_date_and_at_most_a_day() -> None:
    now = datetime(2030, 1, 1, tzinfo=timezone.utc)
    in_a_minute = format_datetime(now + timedelta(minutes=1), usegmt=True)
    values = ["7", " 7 ", in_a_minute, "9" * 400, format_datetime(now - timedelta(days=1), usegmt=True), "1.5", "\xb2"]
    assert [seconds_until_retry(value, now=now) for value in values] == [7, 7, 60, 86_400, 0, 0, 0]


def test_nobody_there_is_tried_again(open_loopback: None) -> None:
    assert outcome(ran(url=f"http://127.0.0.1:{free_port()}/")) == ("PENDING", "http_connect")


def test_a_name_that_is_not_known_is_tried_again(open_loopback: None) -> None:
    assert outcome(ran(url="https://nowhere.invalid/")) == ("PENDING", "http_dns")


@pytest.mark.parametrize(
    ("script", "code"),
    [(silent, "http_timeout"), (answering(b"SSH-2.0-x\r\n\r\n"), "http_reset"), (lambda peer: None, "http_reset")],
)
def test_no_valid_answer_is_tried_again(open_loopback: None, script: Any, code: str) -> None:
    with RawReceiver(script) as receiver:
        assert outcome(ran(url=receiver.url(host="127.0.0.1"), timeout_seconds=1)) == ("PENDING", code)


def test_plain_http_behind_https_is_tried_again(open_loopback: None, receiver: Receiver) -> None:
    assert outcome(ran(url=receiver.url().replace("http:", "https:"))) == ("PENDING", "http_tls")


def test_an_endless_head_is_final(open_loopback: None) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: x\r\n" % number for number in range(200)) + b"\r\n"
    with RawReceiver(answering(head)) as receiver:
        assert outcome(ran(url=receiver.url(host="127.0.0.1"))) == ("FAILED", "http_too_large")


def test_hints_before_the_answer_are_skipped_and_a_change_of_protocol_is_refused(open_loopback: None) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    with RawReceiver(answering(hints + b"HTTP/1.1 200 OK\r\nETag: x\r\n\r\n")) as receiver:
        task = ran(url=receiver.url(host="127.0.0.1"))
    assert task.result is not None
    assert (task.status, task.result["status"], task.result["headers"]) == ("DONE", 200, {"etag": "x"})
    with RawReceiver(answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")) as receiver:
        assert outcome(ran(url=receiver.url(host="127.0.0.1"))) == ("PENDING", "http_interim")


# ---- Where it may go ------------------------------------------------------------------------------------------------

REFUSED_TARGETS = [
    "http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/", "https://[fd00:ec2::254]/", "https://10.0.0.1/",
    "https://[::ffff:10.0.0.1]/", "https://0/", "https://0x7f000001/", "https://2130706433/", "https://127.1/",
    "https://localhost/", "https://a.localhost/", "https://127.0.0.1/", "https://[::1]/", "http://example.org/",
    "https://example.org:22/", "https://user:secret@example.org/", "file:///etc/passwd", "gopher://example.org/", "//example.org",
    "https://example.org\\@10.0.0.1/", "https://example.org/\r\nX: y", "https://example.org/#a", "https://", "https://a_b.example/",
    "javascript:alert(1)", "https://exa\u2024mple.org:1/", " https://example.org/",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED_TARGETS)
@pytest.mark.django_db
def test_a_target_that_is_not_allowed_is_refused_at_the_door(url: str) -> None:
    with pytest.raises(InvalidTask) as refused:
        submit(url=url)
    assert refused.value.errors.keys() == {"payload.url"}
    assert not Task.objects.exists()


@pytest.mark.parametrize("url", REFUSED_TARGETS)
def test_a_target_that_came_past_the_door_is_refused_by_the_runner(
    open_loopback: None, settings: Any, url: str
) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = False
    task = submit(url="https://example.org/")
    Task.objects.filter(pk=task.pk).update(payload={"url": url})
    task = run(task)
    assert outcome(task) in {("FAILED", "http_blocked"), ("FAILED", "http_invalid_url")}


def test_a_name_that_leads_inside_is_refused_without_its_address(open_loopback: None, monkeypatch: Any) -> None:
    inside = [(2, 1, 6, "", ("10.11.12.13", 443))]
    monkeypatch.setattr("notifications.sender.system_resolver", lambda host, port: inside)
    task = ran(url="https://intranet.example/")
    assert (*outcome(task), task.error_message) == ("FAILED", "http_blocked", "Destination not allowed.")
    assert "10.11.12.13" not in json.dumps(list(TaskEvent.objects.filter(task_id=task.pk).values()), default=str)


def test_the_operators_own_receiver_is_not_opened_to_users(
    open_loopback: None, settings: Any, receiver: Receiver
) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = False
    settings.WEBHOOK_URL = receiver.url("/hook")
    with pytest.raises(InvalidTask):
        submit(url=receiver.url("/admin"), method="DELETE")


def test_a_changed_payload_is_judged_when_it_runs(open_loopback: None, settings: Any, receiver: Receiver) -> None:
    task = submit(url=receiver.url())
    settings.WEBHOOK_ALLOW_LOOPBACK = False
    with pytest.raises(InvalidTask):
        lifecycle.update(task.pk, {"payload": {"url": 5}}, who="test")
    try:
        lifecycle.update(task.pk, {"payload": {"url": receiver.url("/other")}}, who="test")
    except InvalidTask:
        return  # better still
    assert outcome(run(task)) == ("FAILED", "http_blocked")
    assert receiver.requests == []


# ---- Hostile payloads -----------------------------------------------------------------------------------------------

URL = "https://example.org/"


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({}, "payload"),
        ({"url": ""}, "payload.url"),
        ({"url": None}, "payload.url"),
        ({"url": ["https://example.org/"]}, "payload.url"),
        ({"url": URL + "x" * 3000}, "payload.url"),
        ({"url": URL, "method": "get"}, "payload.method"),
        ({"url": URL, "method": "CONNECT"}, "payload.method"),
        ({"url": URL, "method": "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"}, "payload.method"),
        ({"url": URL, "heders": {}}, "payload"),
        ({"url": URL, "headers": []}, "payload.headers"),
        ({"url": URL, "headers": {f"x-{number}": "" for number in range(21)}}, "payload.headers"),
        ({"url": URL, "headers": {"x": 1}}, "payload.headers.x"),
        ({"url": URL, "headers": {"x": ["a"]}}, "payload.headers.x"),
        ({"url": URL, "headers": {"x": "a" * 4097}}, "payload.headers.x"),
        ({"url": URL, "headers": {"x": "a\r\nHost: b"}}, "payload.headers.x"),
        ({"url": URL, "headers": {"x": "a\n"}}, "payload.headers.x"),
        ({"url": URL, "headers": {"x": "a\u2028b"}}, "payload.headers.x"),
        ({"url": URL, "headers": {"x": " a"}}, "payload.headers.x"),
        ({"url": URL, "headers": {"x": "€"}}, "payload.headers.x"),
        ({"url": URL, "headers": {"": "a"}}, "payload.headers."),
        ({"url": URL, "headers": {"x y": "a"}}, "payload.headers.x y"),
        ({"url": URL, "headers": {"x\r\nHost": "a"}}, "payload.headers.x\r\nHost"),
        ({"url": URL, "headers": {"X-A": "1", "x-a": "2"}}, "payload.headers.x-a"),
        *(
            ({"url": URL, "headers": {name: "x"}}, f"payload.headers.{name}")
            for name in ("Host", "CONTENT-LENGTH", "Connection", "transfer-encoding", "TE", "Upgrade", "Expect", "Trailer",
                         "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Accept-Encoding")
        ),
        ({"url": URL, "method": "POST", "body": {"a": 1}}, "payload.body"),
        ({"url": URL, "method": "POST", "body": "a", "json": 1}, "payload.json"),
        ({"url": URL, "body": "a"}, "payload.body"),
        ({"url": URL, "method": "HEAD", "json": 1}, "payload.json"),
        *(({"url": URL, "timeout_seconds": value}, "payload.timeout_seconds") for value in (0, 0.5, 31, "5", True, -1, 1e308)),
        *(({"url": URL, "expect": value}, "payload.expect") for value in ([], 200, "200", list(range(200, 230)))),
        *(({"url": URL, "expect": [value]}, "payload.expect.0") for value in (100, 600, "200", 200.5, None)),
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_a_payload_that_makes_no_request_is_refused_at_the_door(payload: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidTask) as refused:
        submit(**payload)
    assert path in refused.value.errors
    assert not Task.objects.exists()


def test_headers_that_came_past_the_door_are_not_sent(open_loopback: None, receiver: Receiver) -> None:
    task = submit(url=receiver.url())
    Task.objects.filter(pk=task.pk).update(payload={"url": receiver.url(), "headers": {"X": "a\r\nY: b"}})
    assert outcome(run(task)) == ("FAILED", "http_invalid_request")
    assert receiver.requests == []


# ---- As users run it ------------------------------------------------------------------------------------------------


def test_a_client_has_a_request_made(standalone: Standalone, receiver: Receiver) -> None:
    receiver.respond(202)
    payload = {"url": receiver.url("/hello"), "method": "POST", "json": {"hello": "world"}}
    task = standalone.api.wait(standalone.api.submit("Call", kind="http_request", payload=payload)["id"])
    assert (task["status"], task["result"]["status"]) == ("DONE", 202)
    [request] = receiver.requests
    assert (request.path, request.body) == ("/hello", b'{"hello":"world"}')
    assert request.headers["idempotency-key"] == task["id"]


def test_a_client_is_told_what_is_wrong_with_the_address(standalone: Standalone) -> None:
    body = {"title": "Call", "kind": "http_request", "payload": {"url": "http://169.254.169.254/"}}
    answer = standalone.api.call("POST", "/tasks", json=body)
    assert answer.status_code == 400
    assert "payload.url" in answer.text
