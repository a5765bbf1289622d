"""The page of one delivery, its line on the page of its task, and the signature checker."""

import base64
import html
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications import deliveries, endpoints, secrets, signing
from notifications.models import Delivery, DeliveryAttempt, Endpoint, Event
from tasks_app import lifecycle
from tasks_app.models import Task
from tasks_app.validation import NewTask
from tests.notifications.making import callback, delivery_to, made
from tests.services.receiver import Receiver
from tests.tasks_app.making import end, person, started

pytestmark = pytest.mark.django_db
URL = "/dashboard/webhooks/deliveries/"
EVIL = "<img src=x onerror=alert(1)></pre><script>alert(2)</script>"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def address(delivery: Delivery, verb: str = "") -> str:
    return f"{URL}{delivery.pk}/{verb}"


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def attempted(delivery: Delivery, number: int = 1, **fields: Any) -> DeliveryAttempt:
    now = timezone.now()
    values = {
        "started_at": now,
        "finished_at": now,
        "status_code": 502,
        "timings": {"dns": 1.5, "total": 20.0},
        **fields,
    }
    Delivery.objects.filter(pk=delivery.pk).update(attempts=number)
    return DeliveryAttempt.objects.create(delivery=delivery, endpoint=delivery.endpoint, number=number, **values)


# ---- What it says ----------------------------------------------------------------------------------------------------


def test_every_attempt_is_told_with_its_phases_and_answer(page: Client, anna: Any) -> None:
    delivery = delivery_to(made(anna))
    attempted(delivery, response_excerpt="Bad gateway", response_headers={"retry-after": "30"})
    attempted(delivery, 2, status_code=None, error_code="timeout", trigger="manual", asked_by="page:anna: mended")
    text = text_of(page, address(delivery))
    for words in ("Answered 502", "DNS 1.5 ms · total 20 ms", "Bad gateway", "retry-after: 30", "Timed out",
                  "by hand, page:anna: mended", delivery.event.webhook_id):  # fmt: skip
        assert words in text


def test_the_peer_and_details_are_for_staff(page: Client, anna: Any) -> None:
    delivery = delivery_to(made(anna))
    attempted(delivery, status_code=None, error_code="blocked", peer="10.1.2.3", error_detail="resolves to 10.1.2.3")
    assert "10.1.2.3" not in text_of(page, address(delivery))
    anna.is_staff = True
    anna.save()
    assert "at 10.1.2.3" in text_of(page, address(delivery))
    assert "resolves to 10.1.2.3" in text_of(page, address(delivery))


@pytest.mark.parametrize(
    ("delivery", "endpoint", "said"),
    [
        ({"reason": "Waits 30 s: answered 503"}, {}, "Waits 30 s: answered 503."),
        ({"reason": "Waits 30 s: x", "attempts": 2}, {}, "attempt 3 of 12 of the schedule"),
        ({"next_attempt_at": -1}, {"last_success_at": -9}, "It is due: it goes out in a moment. The endpoint gets 5 requests"),
        ({"next_attempt_at": -1}, {"failures_in_row": 3}, "The endpoint gets one request at a time."),
        ({}, {"breaker_openings": 1, "not_before": 60, "not_before_reason": "The breaker is open"}, "The whole endpoint waits"),
        ({}, {"breaker_openings": 1, "not_before": -1}, "The breaker is half-open"),
        ({"status": "HELD"}, {"state": "paused", "state_reason": "Paused by x."}, "The endpoint is paused: Paused by x."),
        ({"status": "HELD"}, {}, "Send it again, or recover it."),
        ({"status": "SENDING", "lease_expires_at": 20}, {}, "A request is under way"),
        ({"status": "SENDING", "lease_expires_at": -20}, {}, "The sender was lost"),
    ],
)  # fmt: skip
def test_it_says_why_it_is_not_there_yet(
    page: Client, anna: Any, delivery: dict[str, Any], endpoint: dict[str, Any], said: str
) -> None:
    now, times = timezone.now(), ("next_attempt_at", "not_before", "lease_expires_at", "last_success_at")
    delivery, endpoint = (
        {name: now + timedelta(seconds=value) if name in times else value for name, value in fields.items()}
        for fields in (delivery, endpoint)
    )
    if delivery.get("status", "PENDING") == "PENDING":
        delivery.setdefault("next_attempt_at", now + timedelta(seconds=30))
    row = delivery_to(made(anna), **delivery)
    Endpoint.objects.update(**endpoint)
    assert said in text_of(page, address(row))


def test_what_has_ended_waits_for_nothing(page: Client, anna: Any) -> None:
    delivery = delivery_to(
        made(anna), status="FAILED", finished_at=timezone.now(), reason="Given up: answered 410 (gone)"
    )
    text = text_of(page, address(delivery))
    assert "Why then?" not in text
    assert "Given up: answered 410 (gone)" in text
    assert "data-unsettled" not in text


def test_the_request_as_a_command_verifies_and_holds_no_secret(page: Client, anna: Any) -> None:
    endpoint = made(anna, headers={"authorization": "Bearer s3cret"})
    delivery = delivery_to(endpoint)
    text = text_of(page, address(delivery))
    assert "curl -i --data-binary" in text
    assert "authorization: …" in text
    assert "s3cret" not in text
    assert secrets.read(endpoint)[0].secret not in text
    command = text[text.index('id="code-curl">') :]
    headers = {
        name: command.split(f"{name}: ")[1].split("'")[0]
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    found = signing.verify(
        [secrets.read(endpoint)[0].secret], headers, delivery.event.body.encode(), now=timezone.now().timestamp()
    )
    assert found.is_valid, found


def test_a_body_that_is_no_longer_kept_is_said_and_breaks_nothing(page: Client, anna: Any) -> None:
    delivery = delivery_to(made(anna))
    Event.objects.update(body="")
    assert text_of(page, address(delivery)).count("Its body is no longer kept") == 2


def test_where_a_key_is_gone_the_page_still_opens(page: Client, anna: Any, settings: Any) -> None:
    settings.WEBHOOK_ENCRYPTION_KEYS = ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
    delivery = delivery_to(made(anna))
    settings.WEBHOOK_ENCRYPTION_KEYS = []
    assert "WEBHOOK_ENCRYPTION_KEYS" in text_of(page, address(delivery))
    assert "WEBHOOK_ENCRYPTION_KEYS" in text_of(page, f"/dashboard/webhooks/{delivery.endpoint_id}/")


def test_what_receivers_answer_is_never_markup(page: Client, anna: Any) -> None:
    delivery = delivery_to(made(anna, description=EVIL), reason=EVIL)
    attempted(
        delivery, response_excerpt=EVIL, response_headers={"location-host": EVIL}, asked_by=EVIL, trigger="manual",
        error_code=EVIL[:20], status_code=None,
    )  # fmt: skip
    Event.objects.update(body='{"data":{"title":"' + EVIL + '"}}', type=EVIL[:50])
    text = page.get(address(delivery)).content.decode()
    assert "<img" not in text
    assert "<script>" not in text


def test_htmx_gets_the_part_that_changed(page: Client, anna: Any) -> None:
    text = page.get(address(delivery_to(made(anna))), headers={"HX-Request": "true"}).content.decode()
    assert 'id="delivery-now"' in text
    assert "data-unsettled" in text
    assert "<html" not in text


# ---- What one does ---------------------------------------------------------------------------------------------------


def test_it_is_sent_again_and_cancelled(page: Client, anna: Any) -> None:
    delivery = delivery_to(made(anna), status="FAILED", finished_at=timezone.now())
    assert page.post(address(delivery, "replay"), {"why": "mended"}).headers["Location"] == address(delivery)
    assert Delivery.objects.get().asked_by == "page:anna: mended"
    assert "It is sent again in a moment." in text_of(page, address(delivery))
    page.post(address(delivery, "cancel"))
    assert "Cancelled by page:anna" in text_of(page, address(delivery))
    page.post(address(delivery, "cancel"))
    assert "It is being sent right now, or has ended." in text_of(page, address(delivery))


def test_a_test_arrives_and_the_page_tells(page: Client, anna: Any, settings: Any, receiver: Receiver) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    endpoint = made(anna, url=receiver.url("/hook"))
    delivery = endpoints.test(endpoint.pk, who="page:anna")
    deliveries.send(delivery.pk)
    text = text_of(page, address(delivery))
    assert "Delivered" in text
    assert "Answered 200" in text
    assert "a test, page:anna" in text


def test_somebody_elses_is_not_there(client: Client, anna: Any) -> None:
    delivery = delivery_to(made(anna), status="FAILED", finished_at=timezone.now())
    client.force_login(person("bert", "member"))
    for method, verb in (("get", ""), ("post", "replay"), ("post", "cancel")):
        assert getattr(client, method)(address(delivery, verb)).status_code == 404
    assert Delivery.objects.get().status == "FAILED"


def test_the_operators_receiver_is_told_of_without_its_address(page: Client, anna: Any, settings: Any) -> None:
    settings.WEBHOOK_URL = "https://operators.example.org/secret-path"
    delivery = delivery_to(callback(source="default"), url=settings.WEBHOOK_URL)
    Event.objects.update(owner_id=anna.pk, flat_body="{}")
    attempted(delivery, response_excerpt="its own words", response_headers={"location-host": "inside.example.org"})
    text = text_of(page, address(delivery))
    assert "the server’s receiver" in text
    for hidden in ("operators.example.org", "its own words", "inside.example.org"):
        assert hidden not in text
    assert "curl" not in text.split('id="main"')[1]
    operator = Client()
    operator.force_login(person("olivia", "operator"))
    assert "operators.example.org" in text_of(operator, address(delivery))
    assert "its own words" in text_of(operator, address(delivery))


# ---- The task's page -------------------------------------------------------------------------------------------------


def test_the_tasks_page_names_the_endpoint_and_leads_to_the_delivery(page: Client, anna: Any) -> None:
    endpoint = made(anna, description="Billing", event_types=["task.*"])
    task = lifecycle.submit(NewTask(title="x"), owner_id=anna.pk, who="test")
    delivery = Delivery.objects.get(endpoint=endpoint)
    path = f"/dashboard/tasks/{task.pk}/"
    text = text_of(page, path)
    assert f'href="{address(delivery)}"' in text
    assert f'href="/dashboard/webhooks/{endpoint.pk}/"' in text
    assert "Billing" in text
    assert f'href="{path}"' in text_of(page, address(delivery))


def test_the_tasks_page_keeps_the_operators_receiver_to_operators(page: Client, anna: Any, settings: Any) -> None:
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = "https://operators.example.org/hook", ["task.completed"]
    task = started()
    Task.objects.filter(pk=task.pk).update(owner=anna)
    end(task)
    Delivery.objects.update(status="DELIVERED", next_attempt_at=None, finished_at=timezone.now())
    text = text_of(page, f"/dashboard/tasks/{task.pk}/")
    assert text.count("the server’s receiver") == 2
    assert "operators.example.org" not in text
    operator = Client()
    operator.force_login(person("olivia", "operator"))
    assert "operators.example.org" in text_of(operator, f"/dashboard/tasks/{task.pk}/")


def test_who_may_not_see_the_delivery_gets_no_link_to_it(client: Client, anna: Any) -> None:
    made(anna)
    task = started()
    Task.objects.filter(pk=task.pk).update(owner=anna)
    end(task)
    client.force_login(person("vera", "viewer"))
    text = text_of(client, f"/dashboard/tasks/{task.pk}/")
    assert "task.completed" in text
    assert "/dashboard/webhooks/deliveries/" not in text


# ---- The signature checker -------------------------------------------------------------------------------------------

CHECK = "/dashboard/webhooks/check"


def pasted(body: str, *, at: int | None = None, secret: str = SECRET) -> dict[str, str]:
    """What somebody pastes. Without `at` it is signed at the time of the call, which must be the test's own."""
    at = at or int(timezone.now().timestamp())
    signature = signing.sign([secret], "evt_1", at, body.encode())
    headers = f"Webhook-Id: evt_1\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {signature}\r\n"
    return {"secret": SECRET, "headers": headers, "body": body}


@pytest.mark.parametrize(
    ("paste", "said"),
    [
        (lambda: pasted('{"a":1}'), "It is signed with this secret"),
        (lambda: pasted('{"a":\n1}\n') | {"body": '{"a":\r\n1}\r\n'}, "It is signed with this secret"),
        (lambda: pasted('{"a":1}\n') | {"body": '{"a":1}'}, "with one line end at its end"),
        (lambda: pasted('{"a":1}') | {"body": '{"a":1}\r\n'}, "without line ends at its end"),
        (lambda: pasted('{\r\n}'), "with the line ends of Windows"),
        (lambda: pasted('{"a":1}', at=1_000_000_000), "Signed with this secret, but at another time"),
        (lambda: pasted('{"a":1}') | {"body": '{"a":2}'}, "Not signed with this secret"),
        (lambda: pasted('{"a":1}') | {"headers": "x: y"}, "There is no header webhook-id"),
        (lambda: pasted('{"a":1}') | {"secret": "whsec_no"}, 'id="secret-error"'),
        (lambda: pasted('{"a":1}') | {"headers": "no colon"}, 'id="headers-error"'),
    ],
)  # fmt: skip
def test_the_checker_says_in_words_whether_it_is_signed(
    page: Client, paste: Callable[[], dict[str, str]], said: str
) -> None:
    form = paste()
    text = page.post(CHECK, form).content.decode()
    assert said in text
    assert form["secret"] not in text


def test_what_is_pasted_comes_back_as_text(page: Client) -> None:
    form = {"secret": SECRET, "headers": f"webhook-id: </textarea>{EVIL}", "body": f"</textarea>{EVIL}\0"}
    text = page.post(CHECK, form).content.decode()
    assert "<img" not in text
    assert "<script>" not in text
