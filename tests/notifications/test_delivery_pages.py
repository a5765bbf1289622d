"""Sending a delivery again from its task's page."""

import html
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications import deliveries
from notifications.models import Delivery, DeliveryAttempt, Event
from tasks_app.models import Task
from tests.services.receiver import Receiver
from tests.tasks_app.making import end, person, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def failed(anna: Any, settings: Any, receiver: Receiver) -> Delivery:
    """Given up, of a task of Anna's."""
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = receiver.url("/hook"), ["task.completed"]
    task = started()
    Task.objects.filter(pk=task.pk).update(owner=anna)
    end(task)
    past = timezone.now() - timedelta(days=9)
    Delivery.objects.update(status="FAILED", next_attempt_at=None, finished_at=past, attempts=12, expires_at=past)
    return Delivery.objects.get()


def address(delivery: Delivery) -> str:
    return f"/dashboard/tasks/{delivery.event.task_id}/deliveries/{delivery.pk}/replay"


def page_of(client: Client, delivery: Delivery) -> str:
    return html.unescape(client.get(f"/dashboard/tasks/{delivery.event.task_id}/").content.decode())


def test_a_delivery_is_sent_again_and_who_and_why_stay_in_the_log(
    page: Client, failed: Delivery, receiver: Receiver
) -> None:
    assert address(failed) in page_of(page, failed)
    answer = page.post(address(failed), {"why": " <b>mended</b>\0 "})
    assert answer.headers["Location"] == f"/dashboard/tasks/{failed.event.task_id}/"
    assert "It is sent again in a moment." in page_of(page, failed)
    assert "Sent again by page:anna: <b>mended</b>" in page_of(page, failed)
    deliveries.send(failed.pk)
    assert len(receiver.requests) == 1
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.number, attempt.trigger, attempt.asked_by) == (13, "manual", "page:anna: <b>mended</b>")
    text = page.get(f"/dashboard/tasks/{failed.event.task_id}/").content.decode()
    assert "by hand, page:anna: &lt;b&gt;mended&lt;/b&gt;" in text
    assert Delivery.objects.get().asked_by == ""


def test_htmx_gets_the_part_that_changed(page: Client, failed: Delivery) -> None:
    text = page.post(address(failed), headers={"HX-Request": "true"}).content.decode()
    assert 'id="now"' in text
    assert "Sent again by page:anna" in text


def test_what_is_being_sent_or_due_at_once_has_no_button_and_says_why(page: Client, failed: Delivery) -> None:
    later = timezone.now() + timedelta(seconds=60)
    Delivery.objects.update(status="SENDING", lease_expires_at=later, finished_at=None)
    assert address(failed) not in page_of(page, failed)
    page.post(address(failed))
    assert "It is being sent right now." in page_of(page, failed)
    assert "It is being sent right now." in page.post(address(failed), headers={"HX-Request": "true"}).content.decode()
    Delivery.objects.update(status="PENDING", lease_expires_at=None, next_attempt_at=timezone.now())
    assert address(failed) not in page_of(page, failed)
    Delivery.objects.update(next_attempt_at=later)
    assert "Send now" in page_of(page, failed)


def test_a_viewer_sees_no_button_and_may_not(client: Client, failed: Delivery) -> None:
    client.force_login(person("vera", "viewer"))
    assert address(failed) not in page_of(client, failed)
    assert client.post(address(failed)).status_code == 403


def test_a_delivery_of_another_task_is_not_there(page: Client, anna: Any, failed: Delivery) -> None:
    foreign = Event.objects.create(
        type="task.completed", task_id=started().pk, sequence=1, created_at=timezone.now(), body="{}"
    )
    Delivery.objects.update(event=foreign)
    mine = started()
    Task.objects.filter(pk=mine.pk).update(owner=anna)
    assert page.post(f"/dashboard/tasks/{mine.pk}/deliveries/{failed.pk}/replay").status_code == 404
    assert Delivery.objects.get().status == "FAILED"


def test_another_sites_page_cannot_ask_for_it(anna: Any, failed: Delivery) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(anna)
    assert strict.post(address(failed)).status_code == 403
    assert Delivery.objects.get().status == "FAILED"
