"""The admin: operators look at everything, change nothing but through the verbs, and leave who and why."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from notifications import endpoints, replays, secrets
from notifications.models import Delivery, DeliveryAttempt, Endpoint, EndpointEvent, Event, Replay
from tasks_app import lifecycle, tokens
from tasks_app.models import ApiToken, Task, TaskEvent, TaskStatus
from tasks_app.validation import NewTask
from tests.notifications.making import callback, made

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Iterator[Client]:
    """A member of staff with the role operator, and nothing more."""
    user = User.objects.create_user("olivia", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(user)
    yield client


def act(client: Client, task: Task, action: str, **fields: str) -> str:
    url = reverse("admin:tasks_app_task_changelist")
    data = {"action": action, "_selected_action": str(task.pk), **fields}
    return client.post(url, data, follow=True).content.decode()


def submitted(title: str = "<b>A task</b>") -> Task:
    return lifecycle.submit(NewTask(title=title, payload={"message": "x"}), owner_id=None, who="test")


@pytest.mark.parametrize(
    "model", [Task, TaskEvent, ApiToken, Event, Delivery, Endpoint, Replay], ids=lambda model: model.__name__
)
def test_every_list_and_page_opens_for_an_operator_and_offers_no_change(operator: Client, model: type) -> None:
    task = submitted()
    tokens.issue(User.objects.get(username="olivia"), name="A token", scopes=["tasks:read"])
    event = Event.objects.create(
        type="task.completed", task_id=task.pk, sequence=1, created_at=task.created_at, body="{}"
    )
    delivery = Delivery.objects.create(
        event=event, endpoint=callback(), url="https://example.org/", created_at=task.created_at,
        expires_at=task.created_at, next_attempt_at=task.created_at,
    )  # fmt: skip
    DeliveryAttempt.objects.create(
        delivery=delivery,
        endpoint=delivery.endpoint,
        number=1,
        started_at=task.created_at,
        response_excerpt="<b>no</b>",
    )
    replays.start(made(User.objects.get(username="olivia")).pk, which=["held"], since=task.created_at, who="<b>no</b>")
    names = f"admin:{model._meta.app_label}_{model._meta.model_name}"  # type: ignore[attr-defined]

    listed = operator.get(reverse(f"{names}_changelist"))
    row = model.objects.first()  # type: ignore[attr-defined]
    page = operator.get(reverse(f"{names}_change", args=[row.pk]))

    assert listed.status_code == page.status_code == 200
    assert "<b>A task</b>" not in page.content.decode() + listed.content.decode()
    assert "<b>no</b>" not in page.content.decode()
    assert 'name="_save"' not in page.content.decode()
    assert operator.post(reverse(f"{names}_change", args=[row.pk]), {}).status_code == 403
    assert operator.get(reverse(f"{names}_add")).status_code == 403
    assert operator.post(reverse(f"{names}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_an_action_asks_for_the_reason_first_and_changes_nothing(operator: Client) -> None:
    task = submitted()

    page = act(operator, task, "cancel")

    assert "Reason, for the history" in page
    task.refresh_from_db()
    assert task.status == TaskStatus.PENDING


def test_a_confirmed_action_goes_through_the_verb_with_who_and_why(operator: Client) -> None:
    task = submitted()

    act(operator, task, "cancel", why="no longer wanted")

    task.refresh_from_db()
    assert task.status == TaskStatus.CANCELLED
    event = task.events.get(what="cancelled")
    assert (event.who, event.why) == ("admin:olivia", "no longer wanted")


def test_each_action_leads_where_its_verb_does(operator: Client) -> None:
    task = submitted()

    act(operator, task, "complete", why="")
    task.refresh_from_db()
    assert task.status == TaskStatus.DONE
    act(operator, task, "reopen", why="again")
    task.refresh_from_db()
    assert task.status == TaskStatus.PENDING
    act(operator, task, "rerun", why="twice")
    assert Task.objects.get(rerun_of=task).title == task.title


def test_a_refused_action_says_why(operator: Client) -> None:
    task = submitted()

    page = act(operator, task, "reopen", why="")

    assert "A task that is PENDING cannot be reopened." in page


def test_a_viewer_may_look_but_has_no_actions() -> None:
    task = submitted()
    user = User.objects.create_user("victor", is_staff=True)
    user.groups.add(Group.objects.get(name="viewer"))
    client = Client()
    client.force_login(user)

    page = act(client, task, "cancel", why="mischief")

    assert client.get(reverse("admin:tasks_app_task_changelist")).status_code == 200
    assert "mischief" not in page
    task.refresh_from_db()
    assert task.status == TaskStatus.PENDING


@pytest.mark.parametrize(
    "query",
    ["id__regex=(", "title__iregex=(", f"created_at__year={10**20}", "status__not_regex=("],
)
@pytest.mark.parametrize(
    "model", ["tasks_app/task", "tasks_app/apitoken", "notifications/delivery", "notifications/endpoint"]
)
def test_a_filter_that_cannot_be_is_refused(operator: Client, model: str, query: str) -> None:
    submitted()
    assert operator.get(f"/admin/{model}/?{query}").status_code in (302, 400)


@pytest.mark.parametrize("chosen", ["x", "\0", "'; DROP TABLE x --"])
def test_an_action_on_what_is_no_id_is_refused(operator: Client, chosen: str) -> None:
    url = reverse("admin:tasks_app_task_changelist")
    assert operator.post(url, {"action": "cancel", "_selected_action": chosen, "why": "x"}).status_code == 400


def test_the_search_takes_an_id_or_a_part_of_the_title(operator: Client) -> None:
    task = submitted("Needle")
    submitted("Hay")
    url = reverse("admin:tasks_app_task_changelist")

    for words in (str(task.pk), "needl"):
        page = operator.get(url, {"q": words}).content.decode()
        assert "Needle" in page
        assert "Hay" not in page


def test_a_delivery_is_sent_again_from_the_start_of_its_schedule(operator: Client) -> None:
    task = submitted()
    event = Event.objects.create(
        type="task.completed", task_id=task.pk, sequence=1, created_at=task.created_at, body="{}"
    )
    delivery = Delivery.objects.create(
        event=event, endpoint=callback(), url="https://example.org/", created_at=task.created_at, status="FAILED",
        attempts=12, expires_at=task.created_at, finished_at=task.created_at,
    )  # fmt: skip
    url = reverse("admin:notifications_delivery_changelist")

    operator.post(url, {"action": "send_again", "_selected_action": str(delivery.pk), "why": "receiver mended"})

    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.attempts_uncounted) == ("PENDING", 12, 12)
    assert delivery.trigger == "manual"
    assert delivery.reason == "Sent again by admin:olivia: receiver mended"


def test_a_token_can_be_revoked_and_its_digest_is_not_shown(operator: Client) -> None:
    token, _text = tokens.issue(User.objects.get(username="olivia"), name="A token", scopes=["tasks:read"])

    page = operator.get(reverse("admin:tasks_app_apitoken_change", args=[token.pk])).content.decode()
    operator.post(
        reverse("admin:tasks_app_apitoken_changelist"), {"action": "revoke", "_selected_action": str(token.pk)}
    )

    assert token.digest not in page
    token.refresh_from_db()
    assert token.revoked_at is not None


def act_on(client: Client, row: Endpoint | Replay, action: str, **fields: str) -> str:
    url = reverse(f"admin:notifications_{row._meta.model_name}_changelist")
    data = {"action": action, "_selected_action": str(row.pk), **fields}
    return client.post(url, data, follow=True).content.decode()


def test_an_endpoint_is_paused_and_enabled_with_who_and_why(operator: Client) -> None:
    endpoint = made(User.objects.get(username="olivia"))
    assert "Reason, for the history" in act_on(operator, endpoint, "pause")
    act_on(operator, endpoint, "pause", why="too loud")
    endpoint.refresh_from_db()
    assert endpoint.state == "paused"
    assert "admin:olivia (too loud)" in EndpointEvent.objects.filter(endpoint=endpoint).values_list("who", flat=True)
    act_on(operator, endpoint, "enable", why="")
    endpoint.refresh_from_db()
    assert endpoint.state == "enabled"


def test_what_cannot_be_done_to_an_endpoint_is_said(operator: Client) -> None:
    endpoint = made(User.objects.get(username="olivia"))
    endpoints.disable(endpoint, "It answered 410 (gone).", who="", now=endpoint.created_at)
    assert "Send a test first" in act_on(operator, endpoint, "enable", why="")
    assert "Nobody made this one" in act_on(operator, callback(), "pause", why="")


def test_an_endpoints_secrets_and_headers_are_on_no_page_of_the_admin(operator: Client) -> None:
    endpoint = made(User.objects.get(username="olivia"), headers={"x-key": "s3cret"})
    listed = operator.get(reverse("admin:notifications_endpoint_changelist")).content.decode()
    page = operator.get(reverse("admin:notifications_endpoint_change", args=[endpoint.pk])).content.decode()
    assert "x-key" in page
    for hidden in ("s3cret", secrets.read(endpoint)[0].secret, endpoint.secrets, endpoint.headers):
        assert hidden not in page + listed


def test_a_replay_is_cancelled_once(operator: Client) -> None:
    endpoint = made(User.objects.get(username="olivia"))
    replay = replays.start(endpoint.pk, which=["held"], since=endpoint.created_at, who="test")
    act_on(operator, replay, "cancel", why="enough")
    replay.refresh_from_db()
    assert replay.state == "cancelled"
    assert "It had ended already." in act_on(operator, replay, "cancel", why="")
