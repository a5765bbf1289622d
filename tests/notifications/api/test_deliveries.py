"""Deliveries, the feed, the catalogue of events and signatures over HTTP."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator

from notifications import catalogue, deliveries
from notifications.api import export
from notifications.models import Delivery, DeliveryAttempt, Endpoint, Event
from tests.notifications.api.lives import live_every_life
from tests.notifications.api.test_endpoints import HIDDEN, described, make
from tests.notifications.making import EXAMPLE, callback, delivery_to
from tests.services.receiver import Receiver
from tests.tasks_app.api.conftest import Caller, problem


def test_deliveries_are_found_by_endpoint_type_status_task_and_time(ada: Caller) -> None:
    first, second = (make(ada, f"{EXAMPLE}/{number}")["id"] for number in range(2))
    one, other = (Endpoint.objects.get(pk=key) for key in (first, second))
    failed, held = delivery_to(one, status="FAILED"), delivery_to(other, status="HELD")
    Event.objects.filter(pk=held.event_id).update(type="task.failed", task_id="018f0000-0000-7000-8000-000000000000")

    def ids(query: str) -> list[str]:
        answer = ada.get(f"/api/v1/webhooks/deliveries{query}")
        assert answer.status_code == 200, answer.content
        described("DeliveryPage", answer.json())
        return [row["id"] for row in answer.json()["deliveries"]]

    assert ids("") == [str(held.pk), str(failed.pk)]
    assert ids(f"?endpoint={first}") == ids("?status=FAILED") == ids("?type=task.completed") == [str(failed.pk)]
    assert ids("?task=018f0000-0000-7000-8000-000000000000") == [str(held.pk)]
    assert ids("?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z") == []
    for wrong in ("?status=DONE", "?endpoint=x", "?since=x", "?type=x", "?colour=red", "?task=1", "?limit=0"):
        problem(ada.get(f"/api/v1/webhooks/deliveries{wrong}"), 400, "invalid")


def test_one_or_many_are_sent_again_and_one_cancelled(ada: Caller, bob: Caller) -> None:
    make(ada)
    one, two = (delivery_to(Endpoint.objects.get(), status="FAILED") for _ in range(2))
    answer = ada.post(f"/api/v1/webhooks/deliveries/{one.pk}/retry", {"reason": "mended"})
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert answer.json()["reason"] == "Sent again by token test:ada: mended"
    unknown = "018f0000-0000-7000-8000-000000000000"
    many = ada.post("/api/v1/webhooks/deliveries/retry", {"ids": [str(two.pk), unknown, str(two.pk)]})
    described("RetryResults", many.json())
    assert [row["result"] for row in many.json()["results"]] == ["retried", "not_found"]
    assert (
        bob.post("/api/v1/webhooks/deliveries/retry", {"ids": [str(two.pk)]}).json()["results"][0]["result"]
        == "not_found"
    )
    assert ada.post(f"/api/v1/webhooks/deliveries/{two.pk}/cancel").json()["status"] == "CANCELLED"
    problem(ada.post(f"/api/v1/webhooks/deliveries/{two.pk}/cancel"), 409, "delivery_refused")
    Delivery.objects.filter(pk=one.pk).update(status="SENDING", next_attempt_at=None, lease_expires_at=timezone.now())
    problem(ada.post(f"/api/v1/webhooks/deliveries/{one.pk}/retry"), 409, "delivery_refused")


def test_the_export_is_one_object_a_line_with_attempts(ada: Caller, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    make(ada, receiver.url("/hook"))
    for _ in range(3):
        deliveries.send(delivery_to(Endpoint.objects.get()).pk)
    answer = ada.get("/api/v1/webhooks/deliveries/export?status=DELIVERED")
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [[row["status_code"] for row in line["attempt_log"]] for line in lines] == [[200]] * 3


def test_the_request_as_a_command_is_signed_and_holds_no_secret(ada: Caller) -> None:
    made = make(ada, headers={"X-Key": HIDDEN})
    delivery = delivery_to(Endpoint.objects.get())
    text = ada.get(f"/api/v1/webhooks/deliveries/{delivery.pk}/curl").json()["curl"]
    assert text.startswith("curl -i --data-binary ") and text.endswith(EXAMPLE) and "webhook-signature: v1," in text
    assert made["secret"] not in text and HIDDEN not in text and "x-key: …" in text


# ---- Events, catalogue, signatures -----------------------------------------------------------------------------------


def test_the_feed_gives_each_event_once_in_order_and_says_where_the_end_is(ada: Caller, bob: Caller) -> None:
    make(ada, event_types=["task.*"])
    tasks = [ada.submit(f"Task {number}")["id"] for number in range(5)]
    bob.submit("Not hers")
    if connection.vendor == "postgresql":
        Event.objects.update(transaction=1)  # this test's own is open, and rightly waited for
    seen, after = [], ""
    for _ in range(10):
        body = ada.get(f"/api/v1/events?limit=2{after}").json()
        described("Feed", body)
        seen += [event["task_id"] for event in body["events"]]
        after = f"&after={body['after']}"
        if body["is_end"]:
            break
    assert seen == tasks
    assert ada.get(f"/api/v1/events?limit=2{after}").json()["events"] == []
    assert ada.get("/api/v1/events?type=task.failed").json()["events"] == []
    problem(ada.get("/api/v1/events?after=x"), 400, "invalid")


@pytest.mark.parametrize(
    "cursor", ["-1", "1.x", "9" * 30, "٣", "1.", "1.2.3", "0.00000000-0000-0000-0000-00000000000g"]
)
def test_a_cursor_that_is_none_is_refused_or_harmless(ada: Caller, cursor: str) -> None:
    assert ada.get(f"/api/v1/events?after={cursor}").status_code in (200, 400)


def test_every_event_that_is_told_is_as_the_catalogue_says(ada: Caller, settings: Any) -> None:
    make(ada, event_types=["*"], include_result=True)
    settings.PUBLIC_URL = "https://tasks.example.org"
    live_every_life(ada)
    bodies = [json.loads(event.body) for event in Event.objects.all()]
    assert {body["type"] for body in bodies} == set(catalogue.MEANINGS)
    with_results = [json.loads(event.result_body) for event in Event.objects.exclude(result_body="")]
    assert with_results and all("result" in body["data"] for body in with_results)
    bodies += with_results
    for body in [*bodies, *(entry["example"] for entry in catalogue.entries())]:
        Draft202012Validator(catalogue.schema(body["type"])).validate(body)
    described("EventTypes", ada.get("/api/v1/webhooks/event-types").json())
    whose = Delivery.objects.values_list("event__owner_id", "endpoint__owner_id").distinct()
    assert set(whose) == {(ada.user.pk, ada.user.pk)}, "access.deliveries_of asks for the one and means both"


def test_the_signing_key_is_the_owners_own(ada: Caller, bob: Caller, settings: Any) -> None:
    settings.WEBHOOK_SIGNING_KEY = "a signing key for tests only"
    first, second = (caller.get("/api/v1/webhooks/signing-key") for caller in (ada, bob))
    assert first.json()["secret"].startswith("whsec_") and first.json() != second.json()
    assert first.headers["Cache-Control"] == "no-store"
    problem(Caller(ada.user, scopes=["webhooks:read"]).get("/api/v1/webhooks/signing-key"), 403, "forbidden")
    assert Caller(ada.user, scopes=["webhooks:write"]).get("/api/v1/webhooks/signing-key").json() == first.json()
    for unfit in ("", "short"):
        settings.WEBHOOK_SIGNING_KEY = unfit
        problem(ada.get("/api/v1/webhooks/signing-key"), 409, "endpoints_off")


def test_a_signature_is_judged_with_a_reason(ada: Caller, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    made = make(ada, receiver.url("/hook"))
    deliveries.send(delivery_to(Endpoint.objects.get()).pk)
    (request,) = receiver.requests
    asked = {"secret": made["secret"], "headers": dict(request.headers), "body": request.body.decode()}
    good = ada.post("/api/v1/webhooks/verify", asked).json()
    described("Verdict", good)
    assert (good["valid"], good["fault"]) == (True, "")
    bad = ada.post("/api/v1/webhooks/verify", {**asked, "body": asked["body"] + " "}).json()
    assert (bad["valid"], bad["fault"]) == (False, "no_match")
    problem(ada.post("/api/v1/webhooks/verify", {**asked, "secret": "x"}), 400, "invalid")


VERIFY: Any = {"secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "headers": {}, "body": ""}


@pytest.mark.parametrize(("body", "field"), [
    ({**VERIFY, "secret": 7}, "secret"), ({**VERIFY, "secret": ""}, "secret"), ({**VERIFY, "secret": " "}, "secret"),
    ({**VERIFY, "secret": "whsec_ü"}, "secret"), ({**VERIFY, "headers": []}, "headers"),
    ({**VERIFY, "headers": {"a": 1}}, "headers.a"),
    ({**VERIFY, "headers": {"a": "x" * 4097}}, "headers.a"), ({**VERIFY, "body": {}}, "body"), ({**VERIFY, "body": None}, "body"),
    ({**VERIFY, "more": 1}, "more"), ({}, "secret"),
], ids=str)  # fmt: skip
def test_what_cannot_be_judged_is_named(ada: Caller, body: Any, field: str) -> None:
    assert field in problem(ada.post("/api/v1/webhooks/verify", body), 400, "invalid")["errors"]


def test_a_header_is_judged_as_it_came(ada: Caller) -> None:
    """Spaces around a value are another value: nothing is trimmed."""
    headers = {"webhook-id": "evt_1", "webhook-timestamp": " 1", "webhook-signature": "v1,x", "ü\0": "\0"}
    assert ada.post("/api/v1/webhooks/verify", {**VERIFY, "headers": headers}).status_code == 400  # NUL is no text
    verdict = ada.post("/api/v1/webhooks/verify", {**VERIFY, "headers": {**headers, "ü\0": ""}}).json()
    assert (verdict["fault"], "webhook-timestamp" in verdict["reason"]) == ("bad_format", True)


@pytest.mark.parametrize("ids", [[], [7], ["x"], [None], [["a"]], "x", {}, ["\0"], [True]], ids=repr)
def test_many_are_named_by_their_ids(ada: Caller, ids: Any) -> None:
    problem(ada.post("/api/v1/webhooks/deliveries/retry", {"ids": ids}), 400, "invalid")


# ---- Pages, the export, and what is not for everybody ----------------------------------------------------------------


def test_the_log_of_attempts_comes_in_pages(ada: Caller) -> None:
    make(ada)
    delivery = delivery_to(Endpoint.objects.get())
    for number in range(1, 4):
        DeliveryAttempt.objects.create(
            delivery=delivery, endpoint=delivery.endpoint, number=number, started_at=timezone.now()
        )
    first = ada.get(f"/api/v1/webhooks/deliveries/{delivery.pk}/attempts?limit=2")
    described("Attempts", first.json())
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'
    rest = ada.get(first.json()["next"].removeprefix("http://testserver")).json()
    assert [row["number"] for row in first.json()["attempts"] + rest["attempts"]] == [1, 2, 3]
    assert rest["next"] is None


def test_what_the_operators_own_receiver_said_is_the_operators(ada: Caller, operator: Caller) -> None:
    default = callback("https://inside.example/", source="default")
    event = Event.objects.create(type="task.completed", owner_id=ada.user.pk, created_at=timezone.now(), body="{}")
    delivery = delivery_to(default, url="https://inside.example/hook", status="DELIVERED")
    Delivery.objects.filter(pk=delivery.pk).update(event=event)
    DeliveryAttempt.objects.create(
        delivery=delivery, endpoint=default, number=1, started_at=timezone.now(), status_code=200,
        response_excerpt="inside.example says", response_headers={"location-host": "inside.example"}, peer="10.0.0.9",
        error_detail="10.0.0.9 refused",
    )  # fmt: skip
    one = f"/api/v1/webhooks/deliveries/{delivery.pk}"
    for path in (one, f"{one}/attempts", "/api/v1/webhooks/deliveries"):
        assert "inside" not in ada.get(path).content.decode() and "10.0.0.9" not in ada.get(path).content.decode()
    export = b"".join(ada.get("/api/v1/webhooks/deliveries/export").streaming_content).decode()
    assert str(delivery.pk) in export and "inside" not in export and "10.0.0.9" not in export
    problem(ada.get(f"{one}/curl"), 403, "forbidden")
    (row,) = operator.get(f"{one}/attempts").json()["attempts"]
    assert (row["response_excerpt"], row["peer"], row["error_detail"]) == ("inside.example says", "", "")
    operator.user.is_staff = True
    operator.user.save()
    (row,) = operator.get(f"{one}/attempts").json()["attempts"]
    assert (row["peer"], row["error_detail"]) == ("10.0.0.9", "10.0.0.9 refused")


def test_the_export_asks_page_by_page_and_leaves_nothing_out(
    ada: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    make(ada)
    wanted = [str(delivery_to(Endpoint.objects.get()).pk) for _ in range(5)][::-1]
    answer = ada.get("/api/v1/webhooks/deliveries/export")
    pieces = list(answer.streaming_content)
    assert [len(piece.splitlines()) for piece in pieces] == [2, 2, 1]
    assert [json.loads(line)["id"] for line in b"".join(pieces).splitlines()] == wanted
    assert list(bob.get("/api/v1/webhooks/deliveries/export").streaming_content) == []
    for wrong in ("?limit=1", "?cursor=x", "?format=json", "?status=x"):
        problem(ada.get(f"/api/v1/webhooks/deliveries/export{wrong}"), 400, "invalid")


def test_the_export_is_streamed_over_asgi_too(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standalone serves by ASGI, where an ordinary iterator is read to its end before anything is sent."""
    monkeypatch.setattr(export, "PAGE", 2)
    make(ada)
    wanted = [str(delivery_to(Endpoint.objects.get()).pk) for _ in range(3)][::-1]

    async def ask() -> list[bytes]:
        headers = {"Authorization": f"Bearer {ada.text}"}
        answer: Any = await AsyncClient().get("/api/v1/webhooks/deliveries/export", headers=headers)
        assert answer.is_async
        return [piece async for piece in answer.streaming_content]

    pieces = async_to_sync(ask)()
    assert [len(piece.splitlines()) for piece in pieces] == [2, 1]
    assert [json.loads(line)["id"] for line in b"".join(pieces).splitlines()] == wanted


def test_lists_leave_bodies_where_they_are(ada: Caller) -> None:
    """A body has up to 256 KiB, in three forms: a page of them would not fit."""
    make(ada, event_types=["task.*"])
    made = ada.submit()
    one = str(Delivery.objects.get().pk)
    for path in (
        "/api/v1/webhooks/deliveries",
        "/api/v1/webhooks/deliveries/export",
        f"/api/v1/tasks/{made['id']}/deliveries",
    ):
        with CaptureQueriesContext(connection) as asked:
            answer = ada.get(path)
            text = b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode()
        assert one in text
        assert not any("flat_body" in query["sql"] or '"body"' in query["sql"] for query in asked.captured_queries)
    assert ada.get(f"/api/v1/webhooks/deliveries/{one}").json()["body"]["data"]["title"] == "A task"
