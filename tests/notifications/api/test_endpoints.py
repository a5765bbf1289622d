"""`/api/v1/webhooks/endpoints` over HTTP: what comes back, what never does, and what is refused and how."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from jsonschema import Draft202012Validator

from notifications import deliveries, endpoints, replays
from notifications.models import Endpoint
from tasks_app.api.representation import moment
from tasks_app.api.v1 import schema
from tests.notifications.making import EXAMPLE, delivery_to
from tests.services.receiver import Receiver
from tests.tasks_app.api.conftest import Caller, problem

ALL = "/api/v1/webhooks/endpoints"
HIDDEN = "Bearer nobody-may-see-this"


def make(caller: Caller, url: str = EXAMPLE, **fields: Any) -> dict[str, Any]:
    answer = caller.post(ALL, {"url": url, "event_types": ["task.completed"], **fields})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def described(name: str, body: Any) -> None:
    """The body is as the OpenAPI document says."""
    document = schema.document()
    Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]}).validate(body)


def test_two_fields_make_one_and_the_secret_is_shown_this_once(ada: Caller) -> None:
    answer = ada.post(ALL, {"url": EXAMPLE, "event_types": ["task.*"]})
    body = answer.json()
    assert answer.status_code == 201 and answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Location"] == f"{ALL}/{body['id']}"
    described("EndpointAndSecret", body)
    assert body["secret"].startswith("whsec_")
    read = ada.get(f"{ALL}/{body['id']}").json()
    described("EndpointAndFigures", read)
    assert (read["url"], read["event_types"], read["state"]) == (EXAMPLE, ["task.*"], "enabled")


def test_no_answer_but_the_first_has_the_secret_and_none_the_headers(ada: Caller) -> None:
    made = make(ada, headers={"Authorization": HIDDEN})
    one = f"{ALL}/{made['id']}"
    answers = [ada.get(ALL), ada.get(one), ada.call("PATCH", one, {"description": "x"}), ada.get(f"{one}/history"),
               ada.post(f"{one}/pause"), ada.post(f"{one}/enable"), ada.post(f"{one}/test"),
               ada.post(f"{one}/secret/revoke-old"), ada.get("/api/v1/webhooks/deliveries")]  # fmt: skip
    for answer in answers:
        assert answer.status_code in (200, 202), answer.content
        assert made["secret"] not in answer.content.decode() and HIDDEN not in answer.content.decode()
    assert ada.get(one).json()["header_names"] == ["authorization"]


def test_the_same_key_makes_one_endpoint_and_the_secret_is_given_again(ada: Caller) -> None:
    body = {"url": EXAMPLE, "event_types": ["*"]}
    first, second = (ada.post(ALL, body, Idempotency_Key="k1") for _ in range(2))
    assert first.json() == second.json() and second.headers["Idempotent-Replayed"] == "true"
    assert Endpoint.objects.count() == 1


def test_a_list_has_ones_own_newest_first_in_pages(ada: Caller, bob: Caller, operator: Caller) -> None:
    ids = [make(ada, f"{EXAMPLE}/{number}")["id"] for number in range(3)]
    make(bob)
    first = ada.get(f"{ALL}?limit=2").json()
    described("EndpointPage", first)
    rest = ada.get(first["next"].removeprefix("http://testserver")).json()
    assert [row["id"] for row in first["endpoints"] + rest["endpoints"]] == ids[::-1]
    assert len(operator.get(ALL).json()["endpoints"]) == 4


@pytest.mark.parametrize("given, field", [
    ({}, "url"), ({"url": EXAMPLE}, "event_types"), ({"url": "http://169.254.169.254/", "event_types": ["*"]}, "url"),
    ({"url": EXAMPLE, "event_types": ["no.such"]}, "event_types"),
    ({"url": EXAMPLE, "event_types": ["*"], "state": "x"}, "state"),
    ({"url": EXAMPLE, "event_types": ["*"], "metadata": {"a": []}}, "metadata"),
    ({"url": EXAMPLE, "event_types": ["*"], "description": "\0"}, "description"),
    ({"url": EXAMPLE, "event_types": ["*"], "headers": {"Host": "x"}}, "headers"),
    ({"url": EXAMPLE, "event_types": [None]}, "event_types"), ({"url": 7, "event_types": ["*"]}, "url"),
    ({"url": EXAMPLE, "event_types": ["*"], "secret": {}}, "secret"), ({"url": EXAMPLE, "event_types": ["*"], "id": "x"}, "id"),
], ids=str)  # fmt: skip
def test_what_is_wrong_is_named_by_its_field(ada: Caller, given: dict[str, Any], field: str) -> None:
    body = problem(ada.post(ALL, given), 400, "invalid")
    assert field in body["errors"]


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"null"], ids=repr)
def test_only_an_object_is_an_endpoint(ada: Caller, body: bytes) -> None:
    problem(ada.call("POST", ALL, body), 400, "invalid")


def test_another_host_asks_first(ada: Caller) -> None:
    one = f"{ALL}/{make(ada, headers={'X-Key': HIDDEN})['id']}"
    problem(ada.call("PATCH", one, {"url": "https://elsewhere.example/"}), 409, "new_host")
    answer = ada.call("PATCH", one, {"url": "https://elsewhere.example/", "new_host": True})
    assert (answer.status_code, answer.json()["header_names"]) == (200, [])


def test_rotation_shows_the_new_secret_once_and_reveal_shows_both(ada: Caller) -> None:
    made = make(ada)
    one = f"{ALL}/{made['id']}"
    rotated = ada.post(f"{one}/secret/rotate", {"overlap_seconds": 60})
    described("EndpointAndSecret", rotated.json())
    shown = ada.post(f"{one}/secret/reveal")
    described("Secrets", shown.json())
    assert [kept["secret"] for kept in shown.json()["secrets"]] == [rotated.json()["secret"], made["secret"]]
    assert shown.headers["Cache-Control"] == "no-store"
    lines = ada.get(f"{one}/history").json()
    described("EndpointHistory", lines)
    assert [line["what"].split(",")[0] for line in lines["history"]] == ["Secret revealed", "Secret rotated", "Created"]
    assert lines["history"][0]["who"] == "token test:ada"
    problem(ada.post(f"{one}/secret/rotate", {"overlap_seconds": 604_801}), 400, "invalid")
    problem(ada.post(f"{one}/secret/rotate", {"secret": "short"}), 400, "invalid")


def test_a_test_is_sent_and_its_delivery_says_what_came_of_it(ada: Caller, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    one = f"{ALL}/{make(ada, receiver.url('/hook?token=1'))['id']}"
    answer = ada.post(f"{one}/test")
    described("Delivery", answer.json())
    deliveries.send(answer.json()["id"])
    read = ada.get(answer.headers["Location"]).json()
    described("DeliveryAndBody", read)
    assert (answer.status_code, read["status"], read["body"]["type"]) == (202, "DELIVERED", "ping")
    attempts = ada.get(f"{answer.headers['Location']}/attempts").json()
    described("Attempts", attempts)
    assert [(row["status_code"], row["trigger"], row["peer"]) for row in attempts["attempts"]] == [(200, "test", "")]
    assert ada.get(one).json()["figures"]["success_rate"] == 1


def test_a_disabled_one_wants_a_test_or_force(ada: Caller) -> None:
    made = make(ada)
    endpoints.disable(Endpoint.objects.get(), "It answered 410 (gone).", who="", now=timezone.now())
    problem(ada.post(f"{ALL}/{made['id']}/enable"), 409, "test_needed")
    problem(ada.post(f"{ALL}/{made['id']}/enable", {"force": "perhaps"}), 400, "invalid")
    assert ada.post(f"{ALL}/{made['id']}/enable", {"force": True}).json()["state"] == "enabled"


def test_recover_previews_begins_and_can_be_cancelled(ada: Caller) -> None:
    made = make(ada)
    delivery_to(Endpoint.objects.get(), status="HELD")
    body = {"since": "2020-01-01T00:00:00Z"}
    assert ada.post(f"{ALL}/{made['id']}/recover", {**body, "preview": True}).json() == {"total": 1}
    assert ada.post(f"{ALL}/{made['id']}/recover?preview=true", body).json() == {"total": 1}
    for wrong in ("preview=yes", "preview=", "since=x"):
        problem(ada.post(f"{ALL}/{made['id']}/recover?{wrong}", body), 400, "invalid")
    begun = ada.post(f"{ALL}/{made['id']}/recover", body)
    described("Replay", begun.json())
    assert (begun.status_code, begun.json()["total"], begun.json()["which"]) == (202, 1, ["failed", "held"])
    problem(ada.post(f"{ALL}/{made['id']}/recover", body), 409, "replay_runs")
    described("Replays", ada.get(f"{ALL}/{made['id']}/replays").json())
    assert ada.post(f"{begun.headers['Location']}/cancel").json()["state"] == "cancelled"
    problem(ada.post(f"{begun.headers['Location']}/cancel"), 409, "endpoint_refused")
    assert replays.carry_on(now=timezone.now()) == 0
    problem(ada.post(f"{ALL}/{made['id']}/recover", {**body, "which": ["delivered"]}), 400, "invalid")
    problem(ada.post(f"{ALL}/{made['id']}/recover", {"since": "yesterday"}), 400, "invalid")
    ada.post(f"{ALL}/{made['id']}/pause")
    problem(ada.post(f"{ALL}/{made['id']}/recover", body), 409, "not_enabled")


def test_a_deleted_endpoint_is_nowhere(ada: Caller) -> None:
    made = make(ada)
    assert ada.call("DELETE", f"{ALL}/{made['id']}").status_code == 204
    problem(ada.get(f"{ALL}/{made['id']}"), 404, "not_found")
    assert ada.get(ALL).json()["endpoints"] == []


@pytest.mark.parametrize("text", ["x", "0", "%00", "00000000-0000-0000-0000-000000000000", "a" * 500], ids=repr)
def test_an_id_that_is_none_is_not_found(ada: Caller, text: str) -> None:
    for path in (f"{ALL}/{text}", f"/api/v1/webhooks/deliveries/{text}", f"/api/v1/webhooks/replays/{text}"):
        problem(ada.get(path), 404, "not_found")


def test_more_than_the_limit_is_refused(ada: Caller, settings: Any) -> None:
    settings.WEBHOOK_ENDPOINTS_MOST = 1
    make(ada)
    problem(ada.post(ALL, {"url": EXAMPLE, "event_types": ["*"]}), 409, "too_many_endpoints")


WRONG_TYPES: Any = [
    ("enable", {"force": "on"}, "force"), ("enable", {"force": 1}, "force"), ("enable", {"why": "x"}, "why"),
    ("pause", {"a": 1}, "a"), ("test", {"a": 1}, "a"), ("secret/reveal", {"a": 1}, "a"), ("secret/revoke-old", {"a": 1}, "a"),
    ("secret/rotate", {"overlap_seconds": "60"}, "overlap_seconds"),
    ("secret/rotate", {"overlap_seconds": True}, "overlap_seconds"),
    ("secret/rotate", {"overlap_seconds": 1.5}, "overlap_seconds"), ("secret/rotate", {"secret": 7}, "secret"),
    ("secret/rotate", {"secret": ""}, "secret"), ("secret/rotate", {"secret": "whsec_" + "A" * 300}, "secret"),
    ("secret/rotate", {"secret": "a\0"}, "secret"), ("recover", {"since": 7}, "since"), ("recover", {}, "since"),
    ("recover", {"since": "0001-01-01T00:00:00+23:59"}, "since"),
    ("recover", {"since": "2020-01-01T00:00:00Z", "which": []}, "which"),
    ("recover", {"since": "2020-01-01T00:00:00Z", "which": "held"}, "which"),
    ("recover", {"since": "2020-01-01T00:00:00Z", "which": [7]}, "which.0"),
    ("recover", {"since": "2020-01-01T00:00:00Z", "which": [["held"]]}, "which.0"),
    ("recover", {"since": "2020-01-01T00:00:00Z", "preview": "yes"}, "preview"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "body", "field"), WRONG_TYPES, ids=lambda value: str(value)[:40])
def test_a_verb_takes_what_it_says_and_no_more(ada: Caller, verb: str, body: Any, field: str) -> None:
    made = make(ada)
    assert field in problem(ada.post(f"{ALL}/{made['id']}/{verb}", body), 400, "invalid")["errors"]


@pytest.mark.parametrize("value", ["true", 1, None, {}], ids=repr)
def test_new_host_is_true_or_false_and_nothing_else(ada: Caller, value: Any) -> None:
    one = f"{ALL}/{make(ada, headers={'X-Key': HIDDEN})['id']}"
    answer = ada.call("PATCH", one, {"url": "https://elsewhere.example/", "new_host": value})
    assert "new_host" in problem(answer, 400, "invalid")["errors"]
    assert ada.get(one).json()["header_names"] == ["x-key"]


def test_history_and_replays_come_in_pages(ada: Caller) -> None:
    one = f"{ALL}/{make(ada)['id']}"
    for number in range(3):
        ada.call("PATCH", one, {"description": str(number)})
        replay = ada.post(f"{one}/recover", {"since": "2020-01-01T00:00:00Z"})
        ada.post(f"{replay.headers['Location']}/cancel")
    for name, component in (("history", "EndpointHistory"), ("replays", "Replays")):
        whole = ada.get(f"{one}/{name}").json()
        found, path = [], f"{one}/{name}?limit=2"
        while path:
            answer = ada.get(path)
            described(component, answer.json())
            found += answer.json()[name]
            path = (answer.json()["next"] or "").removeprefix("http://testserver")
        assert found == whole[name] and len(found) >= 3
        problem(ada.get(f"{one}/{name}?limit=0"), 400, "invalid")
        problem(ada.get(f"{one}/{name}?cursor=x"), 400, "bad_cursor")


def test_the_figures_count_what_waits_is_under_way_is_held_or_failed(ada: Caller) -> None:
    made = make(ada)
    one, now = Endpoint.objects.get(), timezone.now()
    waiting = delivery_to(one, now=now - timedelta(hours=2))
    delivery_to(one)
    delivery_to(one, status="SENDING", lease_expires_at=now)
    for status in ("HELD", "FAILED", "FAILED", "BLOCKED", "DELIVERED", "CANCELLED"):
        delivery_to(one, status=status, now=now - timedelta(days=3))
    body = ada.get(f"{ALL}/{made['id']}").json()
    described("EndpointAndFigures", body)
    figures = body["figures"]
    assert {name: figures[name] for name in ("waiting", "in_flight", "held", "failed", "attempts", "success_rate")} == {
        "waiting": 2, "in_flight": 1, "held": 1, "failed": 3, "attempts": 0, "success_rate": None,
    }  # fmt: skip
    assert figures["waiting_since"] == figures["next_attempt_at"] == moment(waiting.created_at)
