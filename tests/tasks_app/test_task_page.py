"""The page of one task as a browser without JavaScript sees it, and the part that htmx asks for."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications.models import Delivery, DeliveryAttempt, Event
from tasks_app import lifecycle
from tasks_app.models import Task, TaskEvent
from tasks_app.pages import waiting
from tasks_app.pages.story import MOST_STEPS, story
from tasks_app.system import Probe, Queue, look
from tasks_app.templatetags.task_json import highlighted, pretty
from tasks_app.validation import NewTask
from tests.notifications.making import callback
from tests.tasks_app.making import NOW, SECOND, end, fresh, person, started, submitted
from tests.tasks_app.test_pages import HTMX, task_of

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 }}{% now %}\"'; DROP TABLE tasks_app_task; --"


def url(task: Task) -> str:
    return f"/dashboard/tasks/{task.pk}/"


def text_of(client: Client, task: Task) -> str:
    answer = client.get(url(task))
    assert answer.status_code == 200
    return answer.content.decode()


# ---- Who may look ---------------------------------------------------------------------------------------------------


def test_the_page_of_someone_elses_task_does_not_exist(page: Client) -> None:
    foreign = task_of(person("bert", "member"))
    assert page.get(url(foreign)).status_code == 404
    assert page.post(f"{url(foreign)}rerun").status_code == 404
    assert "This task was deleted" in page.get(url(foreign), headers=HTMX).content.decode()


def test_a_viewer_reads_the_page_and_is_told_why_nothing_may_be_done(client: Client, anna: Any) -> None:
    task = task_of(anna)
    client.force_login(person("vera", "viewer"))
    text = text_of(client, task)
    assert set(re.findall(r'formaction="[^"]*/(\w+)"', text)) == {"watch"}
    assert "Cancel: you may see this task, but not change it" in text
    assert "Run again: that takes the role member or operator" in text
    assert 'id="rerun"' not in text
    assert client.post(f"{url(task)}rerun").status_code == 403


def test_who_is_not_logged_in_is_sent_to_the_login_and_back(client: Client, anna: Any) -> None:
    task = task_of(anna)
    assert client.get(url(task)).headers["Location"] == f"/login/?next={url(task)}"


@pytest.mark.parametrize(
    ("role", "is_staff", "sees"), [("member", False, False), ("operator", False, False), ("operator", True, True)]
)
def test_tracebacks_are_for_staff(client: Client, role: str, is_staff: bool, sees: bool) -> None:
    someone = person("otto", role)
    someone.is_staff = is_staff
    someone.save()
    task = lifecycle.submit(NewTask(title="x"), owner_id=someone.pk, who="test")
    lifecycle.start([task.pk], worker="w1")
    outcome = lifecycle.Outcome(
        task_id=task.pk, attempt=1, verb="fail", error_message="Bug", traceback="File secret.py"
    )
    lifecycle.settle([outcome], who="w1")
    client.force_login(someone)
    assert ("File secret.py" in text_of(client, task)) is sees


# ---- What it says ---------------------------------------------------------------------------------------------------


def test_the_timeline_tells_every_step_with_who_and_the_time_between() -> None:
    task = started(now=NOW)
    lifecycle.report_progress(task.pk, attempt=1, progress=50, message="half", logs=["line one"], now=NOW + SECOND)
    end(task, "retry_later", now=NOW + 2 * SECOND, error_message="Busy", retry_at=NOW + 12 * SECOND)
    lifecycle.start([task.pk], worker="w2", now=NOW + 12 * SECOND)
    end(fresh(task), "succeed", now=NOW + 15 * SECOND)
    told = story(fresh(task), for_staff=False, now=NOW + 99 * SECOND)
    assert [(step.title, step.who, step.attempt) for step in told.steps] == [
        ("Submitted", "somebody", None), ("Started", "w1", 1), ("Waiting for a retry", "w1", 1), ("Started", "w2", 2),
        ("Succeeded", "w1", 2),
    ]  # fmt: skip
    assert (told.waited, told.ran) == (10 * SECOND, 5 * SECOND)
    assert [line.why for line in told.lines] == ["line one"]


def test_a_running_task_is_still_counting() -> None:
    task = started(now=NOW)
    told = story(task, for_staff=False, now=NOW + 7 * SECOND)
    assert (told.waited, told.ran) == (timedelta(), 7 * SECOND)


def test_a_long_history_is_cut_in_the_middle(django_assert_num_queries: Any) -> None:
    task = submitted()
    make = [TaskEvent(task=task, what="updated", at=NOW, status="PENDING", version=n) for n in range(MOST_STEPS + 9)]
    TaskEvent.objects.bulk_create(make)
    with django_assert_num_queries(3):
        told = story(task, for_staff=False, now=NOW)
    assert told.skipped
    assert len(told.steps) == MOST_STEPS + 1
    assert told.steps[0].title == "Submitted"


@pytest.mark.parametrize(
    ("status", "allowed", "refusal"),
    [
        ("PENDING", {"cancel", "complete"}, "Reopen: it has not ended yet"),
        ("PROCESSING", {"cancel", "complete"}, "Reopen: it has not ended yet"),
        ("DONE", {"reopen"}, "Complete: it is done"),
        ("FAILED", {"complete", "reopen"}, "Cancel: it has ended (failed)"),
    ],
)
def test_there_are_buttons_for_what_is_allowed_and_reasons_for_the_rest(
    page: Client, anna: Any, status: str, allowed: set[str], refusal: str
) -> None:
    text = text_of(page, task_of(anna, status=status))
    assert set(re.findall(r'formaction="[^"]*/(\w+)"', text)) - {"watch", "unwatch"} == allowed
    assert refusal in text


def test_hostile_text_is_never_markup_and_stands_there_as_it_is(page: Client, anna: Any) -> None:
    task = task_of(anna, EVIL, status="FAILED", payload={"message": EVIL, EVIL: [EVIL]}, tags=[EVIL[:50]],
                   metadata={EVIL: EVIL}, description=EVIL)  # fmt: skip
    Task.objects.update(error_message=EVIL, message=EVIL, result={EVIL: EVIL})
    TaskEvent.objects.update(why=EVIL, who=EVIL)
    text = text_of(page, task)
    assert "<img" not in text
    assert not re.search(r"<script(?! (src|type=\"module\" src)=)", text)
    assert "{{ 7 }}{% now %}" in text
    assert EVIL in html.unescape(text)


def test_what_shows_nothing_or_turns_text_around_is_shown_as_an_escape() -> None:
    text = pretty({"a": "\u202egnp.exe\u200b", "b": "\x1b[31m", "c": "\U000e0041", "d": "žluť 🐎"})
    assert "\\u202egnp.exe\\u200b" in text
    assert "\\u001b" in text
    assert "\\udb40\\udc41" in text
    assert "žluť 🐎" in text


def test_json_is_coloured_token_by_token() -> None:
    found = str(highlighted(pretty({"a<b": [1.5, True, None, 'say "hi" \\']})))
    assert '<span class="j-key">&quot;a&lt;b&quot;</span>' in found
    assert '<span class="j-number">1.5</span>' in found
    assert '<span class="j-word">true</span>' in found
    assert html.unescape(re.sub(r"<[^>]+>", "", found)) == pretty({"a<b": [1.5, True, None, 'say "hi" \\']})


def test_huge_json_is_cut_and_a_link_leads_to_all_of_it(page: Client, anna: Any) -> None:
    task = task_of(anna, payload={"message": "x" * 200_000})
    text = text_of(page, task)
    assert len(text) < 120_000
    assert "The first 40,000 characters." in text
    assert f'href="/tasks/{task.pk}"' in text
    assert 'data-copy="code-payload"' not in text
    assert "curl" not in text


def test_a_curl_line_repeats_the_task(page: Client, anna: Any) -> None:
    task = task_of(anna, "It's mine", payload={"message": "don't"}, tags=["a"])
    text = html.unescape(text_of(page, task))
    assert 'curl -X POST http://testserver/tasks \\\n  -H "authorization: Bearer $TASKMANAGER_TOKEN"' in text
    assert (
        """'{"title": "It'"'"'s mine", "kind": "message", "payload": {"message": "don'"'"'t"}, "tags": ["a"]}'"""
        in text
    )


def test_the_page_takes_the_same_few_queries_whatever_happened(
    page: Client, anna: Any, django_assert_max_num_queries: Any
) -> None:
    task = task_of(anna, status="FAILED")
    page.get(url(task))
    for _ in range(20):
        lifecycle.reopen(task.pk, who="test")
        lifecycle.cancel(task.pk, who="test")
    # session, user, permissions (two), task, whether watched, history, log, deliveries, state of the system
    with django_assert_max_num_queries(10):
        page.get(url(task))


def test_htmx_gets_the_part_that_changes(page: Client, anna: Any) -> None:
    text = page.get(url(task_of(anna, "Mine")), headers=HTMX).content.decode()
    assert text.lstrip().startswith('<div class="now" id="now"')
    assert 'hx-swap-oob="true"' in text


def test_a_button_of_the_page_leads_back_to_it(page: Client, anna: Any) -> None:
    task = task_of(anna)
    assert page.post(f"{url(task)}cancel", {"next": url(task)}).headers["Location"] == url(task)
    part = page.post(f"{url(task)}cancel", {"next": url(task)}, headers=HTMX).content.decode()
    assert 'id="now"' in part
    assert page.post(f"{url(task)}delete", {"next": url(task)}).headers["Location"] == "/dashboard/"


# ---- Running again --------------------------------------------------------------------------------------------------


def test_it_runs_again_with_another_payload_as_a_linked_task(page: Client, anna: Any) -> None:
    task = task_of(anna, "Again", status="FAILED", payload={"message": "a"})
    answer = page.post(f"{url(task)}rerun", {"payload": '{"message": "b", "seconds": 2}'})
    made = Task.objects.get(rerun_of=task)
    assert answer.headers["Location"] == url(made)
    assert (made.title, made.payload, made.owner) == ("Again", {"message": "b", "seconds": 2}, anna)
    assert f'href="{url(task)}"' in text_of(page, made)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ('{"a": }', "Line 1, column 7: Expecting value."),
        ("[1]", "A JSON object is wanted: { … }."),
        ('{"a": NaN}', "NaN is not JSON."),
        ('{"a": 1, "a": 2}', "The key 'a' is there twice."),
        ('{"seconds": -1}', "seconds: -1 is less than the minimum of 0"),
        ("", "Type {} for a payload without anything in it."),
        ("[" * 100_000, "It is nested too deeply."),
    ],
)
def test_a_payload_that_is_wrong_is_kept_and_the_place_is_told(
    page: Client, anna: Any, typed: str, sentence: str
) -> None:
    task = task_of(anna, payload={"message": "a"})
    answer = page.post(f"{url(task)}rerun", {"payload": typed})
    assert answer.status_code == 422
    assert sentence in html.unescape(answer.content.decode())
    assert typed in html.unescape(answer.content.decode())
    assert Task.objects.count() == 1


# ---- Why is it waiting? ---------------------------------------------------------------------------------------------


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the broker is taken to have answered."""

    def answers(queue: Queue) -> None:
        monkeypatch.setattr(Probe, "queue", lambda self: queue)

    answers(Queue(workers=2, messages=0))
    return answers


def test_a_start_that_lies_ahead_is_the_reason(broker: Any) -> None:
    task = submitted(now=NOW, run_at=NOW + timedelta(days=2))
    assert waiting.reasons(task, now=NOW) == [
        f"Its start lies ahead: {NOW + timedelta(days=2):%Y-%m-%d %H:%M} UTC, as asked for."
    ]


def test_a_retry_says_when_and_because_of_what(broker: Any) -> None:
    task = started(now=timezone.now())
    end(
        task, "retry_later", now=timezone.now(), error_message="The disk is full", retry_at=timezone.now() + 60 * SECOND
    )
    (reason,) = waiting.reasons(fresh(task))
    assert re.fullmatch(r"Retry at \d\d:\d\d:\d\d UTC because the last attempt failed: The disk is full", reason)


def test_the_tasks_ahead_are_counted_up_to_a_thousand(broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (submitted(now=NOW + n * SECOND) for n in range(3))
    Task.objects.update(published_at=NOW)
    later = NOW + 10 * SECOND
    assert waiting.reasons(fresh(first), now=later) == ["It is next: a worker takes it in a moment."]
    assert waiting.reasons(fresh(second), now=later) == ["1 task is ahead of it."]
    assert waiting.reasons(fresh(third), now=later) == ["2 tasks are ahead of it."]
    monkeypatch.setattr(waiting, "MOST_AHEAD", 2)
    assert waiting.reasons(fresh(third), now=later) == ["At least 1,000 tasks are ahead of it."]


def test_broker_away_no_worker_and_not_yet_published_are_told_apart(broker: Any) -> None:
    task = submitted(now=NOW)
    assert "not handed to the broker yet" in waiting.reasons(task, now=NOW)[0]
    broker(Queue(is_away=True))
    assert "The broker does not answer" in waiting.reasons(task, now=NOW)[0]
    broker(Queue(workers=0, messages=3))
    assert "The queue holds 3 messages." in waiting.reasons(task)
    Task.objects.update(published_at=NOW)
    assert "No live worker listens" in waiting.reasons(fresh(task), now=NOW)[0]


def test_a_task_that_does_not_wait_has_no_reasons(broker: Any) -> None:
    assert waiting.reasons(started()) == []


@pytest.mark.parametrize(
    ("queue", "late", "word"),
    [
        (Queue(workers=2), False, "Healthy"), (Queue(), False, "Healthy"), (Queue(workers=2), True, "Busy"),
        (Queue(workers=0), True, "Stalled"), (Queue(is_away=True), True, "Degraded"),
    ],
)  # fmt: skip
def test_the_state_of_the_system_is_one_word_with_reasons(queue: Queue, late: bool, word: str) -> None:
    if late:
        submitted(now=NOW - 60 * SECOND)
    found = look(queue, now=NOW)
    assert found.word == word
    if late:
        assert found.reasons[-1] == "The oldest waiting task has been due for 60 s"


def test_the_timeline_names_worker_attempt_and_release(page: Client, anna: Any, settings: Any) -> None:
    settings.RELEASE = "2026-01-31.<1>"
    task = task_of(anna, status="DONE")
    text = text_of(page, task)
    assert text.count("release 2026-01-31.&lt;1&gt;") == 2
    assert "by w1" in text
    assert [event.data.get("release") for event in task.events.order_by("pk")] == [None, *["2026-01-31.<1>"] * 2]


# ---- Deliveries -----------------------------------------------------------------------------------------------------


def delivery_of(task: Task, **fields: Any) -> Delivery:
    event = Event.objects.create(type="task.completed", task_id=task.pk, sequence=3, created_at=NOW, body="{}")
    values: dict[str, Any] = {
        "endpoint": callback(), "url": "https://user:pw@hooks.example.org/secret?token=1", "expires_at": NOW,
        "created_at": NOW, **fields,
    }  # fmt: skip
    return Delivery.objects.create(event=event, **values)


def test_a_delivery_that_waits_says_why_the_next_attempt_is_when_it_is(page: Client, anna: Any) -> None:
    task = task_of(anna, status="DONE")
    made = delivery_of(task, status="PENDING", attempts=1, next_attempt_at=timezone.now() + 300 * SECOND,
                       reason="Waits 300 s: answered 503")  # fmt: skip
    DeliveryAttempt.objects.create(
        delivery=made, endpoint=made.endpoint, number=1, started_at=NOW, status_code=503, error_detail="10.0.0.7",
        timings={"dns": 1.0, "connect": 0.4, "total": 13.2},
    )  # fmt: skip
    text = text_of(page, task)
    assert "Waits 300 s: answered 503" in text
    assert "DNS 1 ms · connect 0.4 ms · total 13.2 ms" in text
    assert "hooks.example.org" in text
    assert "secret" not in text
    assert "pw@" not in text
    assert "10.0.0.7" not in text
    assert "data-unsettled" in text


def test_the_timeline_ends_with_the_webhooks_receipt(page: Client, anna: Any) -> None:
    task = task_of(anna, status="DONE")
    delivery_of(task, status="DELIVERED", finished_at=timezone.now() + SECOND, reason="Answered 200", attempts=1)
    text = text_of(page, task)
    assert re.findall(r'<div class="step-main"><p><strong>(.*?)</strong>', text)[-1] == "Webhook received"
    assert "task.completed: Answered 200" in text
    assert "data-unsettled" not in text
