"""The pages of endpoints, as a browser without JavaScript sees them."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications import endpoints, fields, secrets
from notifications.models import Delivery, Endpoint, EndpointEvent, Replay
from tests.notifications.making import EXAMPLE, delivery_to, made
from tests.tasks_app.making import person

pytestmark = pytest.mark.django_db
URL = "/dashboard/webhooks/"
TYPED = {"url": EXAMPLE, "event": ["task.completed", "task.failed"], "description": "Billing"}
HTMX = {"HX-Request": "true"}
EVIL = "<img src=x onerror=alert(1)>{{ 7 }}\u202e"


def text_of(client: Client, path: str = URL) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def address(endpoint: Endpoint, verb: str = "") -> str:
    return f"{URL}{endpoint.pk}/{verb}"


def fresh(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.get(pk=endpoint.pk)


def history(endpoint: Endpoint) -> list[tuple[str, str]]:
    return list(EndpointEvent.objects.filter(endpoint=endpoint).order_by("pk").values_list("what", "who"))


# ---- The list --------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_an_endpoint_is_and_offers_the_form(page: Client) -> None:
    text = text_of(page)
    assert "is sent a signed POST whenever something happens to your tasks" in text
    assert f'href="{URL}new"' in text
    assert f'href="{URL}"' in text_of(page, "/dashboard/")


def test_the_list_shows_ones_own_and_how_they_fare(page: Client, anna: Any) -> None:
    endpoint = made(anna, description="Billing")
    made(person("bert", "member"), url="https://bert.example.org/")
    delivery_to(endpoint, now=timezone.now() - timedelta(hours=2))
    text = text_of(page)
    assert "Billing" in text
    assert "example.org" in text
    assert "oldest" in text
    assert "2 h ago" in text
    assert "bert.example.org" not in text


def test_an_operator_sees_everybodys_and_whose_they_are(client: Client, anna: Any) -> None:
    made(anna, description="Billing")
    client.force_login(person("olivia", "operator"))
    assert "of anna" in text_of(client)


def test_the_list_goes_on_by_pages(page: Client, anna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.pages.endpoint_list.PAGE", 2)
    for number in range(3):
        made(anna, description=f"Number {number}")
    text = text_of(page)
    assert "Number 0" not in text
    (older,) = re.findall(r'href="(\?after=[^"]+)"', text)
    assert "Number 0" in text_of(page, URL + older)
    assert page.get(URL + "?after=nonsense").status_code == 400


def test_what_is_disabled_or_failing_is_said_here_and_on_the_dashboard(page: Client, anna: Any) -> None:
    endpoint = made(anna, description="Old one")
    since = timezone.now() - timedelta(days=2)
    Endpoint.objects.update(failing_since=since, failed_attempts=20, notices=1)
    assert "1 endpoint of yours needs your eye" in text_of(page)
    assert "1 of your webhook endpoints" in text_of(page, "/dashboard/")
    text = text_of(page, address(endpoint))
    assert re.search(r"Disabled in 2 d 23 h, unless it takes something", text)
    assert "in 20 attempts" in text


def test_a_healthy_one_is_no_news(page: Client, anna: Any) -> None:
    made(anna)
    assert "your eye" not in text_of(page)
    assert "webhook endpoints" not in text_of(page, "/dashboard/")


def test_htmx_gets_the_part_that_changed(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    for path, part in ((URL, "endpoints"), (address(endpoint), "endpoint-now")):
        text = page.get(path, headers=HTMX).content.decode()
        assert f'id="{part}"' in text
        assert 'hx-swap-oob="true"' in text
        assert "<html" not in text


# ---- Making and changing ---------------------------------------------------------------------------------------------


def test_an_endpoint_is_made_and_its_secret_is_shown_once(page: Client, anna: Any) -> None:
    answer = page.post(f"{URL}new", {
        **TYPED, "globs": "webhook.*", "kinds": "message, http_request", "tags": "a", "metadata": '{"customer": 42}',
        "include_result": "on", "headers": "X-Key: s3cret\r\n\r\nauthorization: Bearer b",
    })  # fmt: skip
    assert answer.status_code == 201
    assert "no-store" in answer.headers["Cache-Control"]
    endpoint = Endpoint.objects.get()
    (secret,) = re.findall(r'<code id="secret-1">(whsec_[^<]+)</code>', answer.content.decode())
    assert [kept.secret for kept in secrets.read(endpoint)] == [html.unescape(secret)]
    assert endpoint.owner == anna
    assert endpoint.event_types == ["task.completed", "task.failed", "webhook.*"]
    assert (endpoint.kinds, endpoint.tags, endpoint.metadata) == (["message", "http_request"], ["a"], {"customer": 42})
    assert endpoint.include_result
    assert secrets.headers(endpoint) == {"x-key": "s3cret", "authorization": "Bearer b"}
    assert history(endpoint) == [("Created", "page:anna")]
    for path in (URL, address(endpoint), address(endpoint, "edit"), address(endpoint, "delete")):
        text = text_of(page, path)
        assert "s3cret" not in text
        assert "Bearer b" not in text
        assert html.unescape(secret) not in text
    assert "x-key" in text_of(page, address(endpoint))


def test_a_secret_of_ones_own_is_taken(page: Client) -> None:
    own = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    assert page.post(f"{URL}new", {**TYPED, "secret": f" {own} "}).status_code == 201
    assert secrets.read(Endpoint.objects.get())[0].secret == own


@pytest.mark.parametrize(
    ("change", "beside"),
    [
        ({"url": ""}, "url"), ({"url": "http://169.254.169.254/"}, "url"), ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "https://example.org/\0"}, "url"), ({"description": "x" * 256}, "description"),
        ({"event": []}, "event_types"), ({"event": ["nothing.at.all"]}, "globs"), ({"globs": "nothing.*"}, "globs"),
        ({"kinds": "x" * 101}, "kinds"), ({"tags": ",".join(map(str, range(21)))}, "tags"),
        ({"metadata": "{"}, "metadata"), ({"metadata": "[]"}, "metadata"), ({"metadata": '{"a": {}}'}, "metadata"),
        ({"headers": "no colon"}, "headers"), ({"headers": "host: x"}, "headers"), ({"headers": "a: 1\nA: 2"}, "headers"),
        ({"headers": "a: \x01"}, "headers"), ({"secret": "whsec_short"}, "secret"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_made(
    page: Client, change: dict[str, Any], beside: str
) -> None:
    answer = page.post(f"{URL}new", {**TYPED, **change})
    assert answer.status_code == 422
    assert f'id="{beside}-error"' in answer.content.decode()
    assert not Endpoint.objects.exists()


def test_everything_wrong_is_said_at_once_and_what_was_typed_stays(page: Client) -> None:
    text = page.post(f"{URL}new", {**TYPED, "url": "nowhere", "metadata": "{x}"}).content.decode()
    assert 'id="url-error"' in text
    assert 'id="metadata-error"' in text
    assert 'value="nowhere"' in text
    assert 'value="task.failed" checked' in text
    assert "2 fields need another look" in text


def test_a_refusal_is_a_sentence(page: Client, settings: Any) -> None:
    settings.WEBHOOK_ENDPOINTS_MOST = 0
    answer = page.post(f"{URL}new", TYPED)
    assert answer.status_code == 422
    assert "You have 0 endpoints, which is the limit here." in answer.content.decode()


def test_a_change_names_only_what_changed(page: Client, anna: Any) -> None:
    endpoint = made(anna, tags=["a"], headers={"x-key": "1"})
    typed = {"url": EXAMPLE, "event": ["task.completed"], "tags": "a", "description": "Mended"}
    assert page.post(address(endpoint, "edit"), typed).headers["Location"] == address(endpoint)
    assert history(endpoint)[-1] == ("Changed: description", "page:anna")
    assert fresh(endpoint).header_names == ["x-key"]
    page.post(address(endpoint, "edit"), typed)
    assert "Nothing was changed." in text_of(page, address(endpoint))
    page.post(address(endpoint, "edit"), {**typed, "drop_headers": "on"})
    assert fresh(endpoint).header_names == []


def test_another_host_asks_before_the_stored_headers_go(page: Client, anna: Any) -> None:
    endpoint = made(anna, headers={"x-key": "s3cret"})
    typed = {"url": "https://elsewhere.example.org/", "event": ["task.completed"]}
    answer = page.post(address(endpoint, "edit"), typed)
    assert answer.status_code == 422
    assert 'name="new_host"' in answer.content.decode()
    assert fresh(endpoint).url == EXAMPLE
    assert page.post(address(endpoint, "edit"), {**typed, "new_host": "on"}).status_code == 302
    assert (fresh(endpoint).url, fresh(endpoint).header_names) == ("https://elsewhere.example.org/", [])


def test_deleting_asks_first(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    assert "Delete this endpoint?" in text_of(page, address(endpoint, "delete"))
    assert fresh(endpoint).deleted_at is None
    assert page.post(address(endpoint, "delete")).headers["Location"] == URL
    assert page.get(address(endpoint)).status_code == 404
    assert page.post(address(endpoint, "pause")).status_code == 404


# ---- The endpoint's page ---------------------------------------------------------------------------------------------


def test_the_page_says_why_nothing_is_sent(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    until = timezone.now() + timedelta(minutes=4)
    why = "The breaker is open for 240 s: 10 failures in a row"
    Endpoint.objects.update(breaker_openings=3, not_before=until, not_before_reason=why, failures_in_row=10)
    text = text_of(page, address(endpoint))
    assert why in text
    assert f"{until:%Y-%m-%d %H:%M:%S} UTC" in text
    Endpoint.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    assert "The breaker is half-open" in text_of(page, address(endpoint))


def test_pausing_and_enabling(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    held = delivery_to(endpoint)
    page.post(address(endpoint, "pause"))
    held.refresh_from_db()
    assert (fresh(endpoint).state, held.status) == ("paused", "HELD")
    text = text_of(page, address(endpoint))
    assert "Paused by page:anna." in text
    assert "Its events are held: 1 by now" in text
    page.post(address(endpoint, "enable"))
    assert fresh(endpoint).state == "enabled"


def test_a_disabled_one_wants_a_test_or_force(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    endpoints.disable(endpoint, "It answered 410 (gone).", who="", now=timezone.now())
    assert "It answered 410 (gone)." in text_of(page, address(endpoint))
    page.post(address(endpoint, "enable"))
    assert "Send a test first" in text_of(page, address(endpoint))
    assert fresh(endpoint).state == "disabled"
    page.post(address(endpoint, "enable"), {"force": "yes"})
    assert fresh(endpoint).state == "enabled"


def test_a_test_leads_to_its_delivery(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    answer = page.post(address(endpoint, "test"))
    delivery = Delivery.objects.get()
    assert (delivery.event.type, delivery.trigger) == ("ping", "test")
    assert answer.headers["Location"] == f"{URL}deliveries/{delivery.pk}/"


def test_rotating_shows_the_new_secret_once_and_the_page_says_which_verify(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    answer = page.post(address(endpoint, "rotate"), {"overlap": "3600"})
    newest, older = secrets.read(fresh(endpoint))
    shown = html.unescape(answer.content.decode())
    assert newest.secret in shown
    assert older.secret not in shown
    text = text_of(page, address(endpoint))
    assert newest.secret not in text
    assert "signs until it is rotated" in text
    assert f"signs too until {older.until:.10}" in text
    page.post(address(endpoint, "revoke-old"))
    assert len(secrets.read(fresh(endpoint))) == 1
    assert page.post(address(endpoint, "rotate"), {"overlap": "-1"}).status_code == 400


def test_revealing_is_a_post_and_is_written_down(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    (kept,) = secrets.read(endpoint)
    assert page.get(address(endpoint, "reveal")).status_code == 405
    answer = page.post(address(endpoint, "reveal"))
    assert kept.secret in html.unescape(answer.content.decode())
    assert "no-store" in answer.headers["Cache-Control"]
    assert history(endpoint)[-1] == ("Secret revealed", "page:anna")
    assert "Secret revealed" in text_of(page, address(endpoint))


def test_recovering_counts_first_and_then_begins(page: Client, anna: Any) -> None:
    endpoint = made(anna)
    for _ in range(2):
        delivery_to(endpoint, status="HELD")
    delivery_to(endpoint, status="FAILED", finished_at=timezone.now())
    since = f"{timezone.now() - timedelta(hours=1):%Y-%m-%dT%H:%M}"
    asked = {"since": since, "which": ["held"]}
    text = html.unescape(page.post(address(endpoint, "recover"), asked).content.decode())
    assert "Send 2 deliveries again?" in text
    assert not Replay.objects.exists()
    (given,) = re.findall(r'name="since" value="([^"]+)"', text)
    page.post(address(endpoint, "recover"), {"since": given, "which": ["held"], "confirm": "yes"})
    replay = Replay.objects.get()
    assert (replay.total, replay.which, replay.asked_by) == (2, ["held"], "page:anna")
    text = text_of(page, address(endpoint))
    assert "0 of 2" in text
    page.post(f"{address(endpoint)}replays/{replay.pk}/cancel")
    replay.refresh_from_db()
    assert replay.state == "cancelled"
    page.post(f"{address(endpoint)}replays/{replay.pk}/cancel")
    assert "It had ended already." in text_of(page, address(endpoint))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"since": "yesterday", "which": ["held"]}, "Since when?"),
        ({"since": "2026-01-01T00:00"}, "Choose what to send again"),
        ({"since": "2026-01-01T00:00", "which": ["root"]}, "Choose what to send again"),
        ({"since": "0001-01-01T00:00+14:00", "which": ["held"]}, "Since when?"),
    ],
)
def test_a_recovery_that_cannot_be_is_refused_in_words(
    page: Client, anna: Any, asked: dict[str, Any], said: str
) -> None:
    endpoint = made(anna)
    page.post(address(endpoint, "recover"), asked)
    assert said in text_of(page, address(endpoint))
    assert not Replay.objects.exists()


def test_a_replay_of_another_endpoint_is_not_there(page: Client, anna: Any) -> None:
    mine, other = made(anna), made(person("bert", "member"))
    replay = Replay.objects.create(endpoint=other, since=timezone.now(), created_at=timezone.now(), total=1)
    assert page.post(f"{address(mine)}replays/{replay.pk}/cancel").status_code == 404
    replay.refresh_from_db()
    assert replay.state == "running"


def test_deliveries_are_narrowed_by_status_and_go_on_by_pages(
    page: Client, anna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.pages.endpoint.PAGE", 2)
    endpoint = made(anna)
    failed = [delivery_to(endpoint, status="FAILED", finished_at=timezone.now()) for _ in range(3)]
    waiting = delivery_to(endpoint)
    text = text_of(page, f"{address(endpoint)}?status=FAILED")
    assert str(waiting.pk) not in text
    assert str(failed[0].pk) not in text
    (older,) = re.findall(r'href="([^"]+after=[^"]+)"', text)
    text = text_of(page, older)
    assert str(failed[0].pk) in text
    assert str(failed[2].pk) not in text
    assert page.get(f"{address(endpoint)}?after=nonsense").status_code == 400
    assert str(waiting.pk) in text_of(page, f"{address(endpoint)}?status=nonsense")


def test_the_picked_are_sent_again_and_no_others(page: Client, anna: Any) -> None:
    endpoint, other = made(anna), made(person("bert", "member"))
    picked, left = (delivery_to(endpoint, status="FAILED", finished_at=timezone.now()) for _ in range(2))
    foreign = delivery_to(other, status="FAILED", finished_at=timezone.now())
    page.post(address(endpoint, "resend"), {"id": [str(picked.pk), str(foreign.pk)], "why": "mended\0"})
    states = dict(Delivery.objects.values_list("pk", "status"))
    assert states == {picked.pk: "PENDING", left.pk: "FAILED", foreign.pk: "FAILED"}
    assert Delivery.objects.get(pk=picked.pk).asked_by == "page:anna: mended"
    assert "1 delivery is sent again in a moment. 1 not" in text_of(page, address(endpoint))
    assert page.post(address(endpoint, "resend"), {"id": "x"}).status_code == 400
    page.post(address(endpoint, "resend"))
    assert "Pick some deliveries first." in text_of(page, address(endpoint))


# ---- Who may, and hostile input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb", ["edit", "delete", "pause", "enable", "test", "rotate", "reveal", "revoke-old", "recover", "resend"]
)
def test_somebody_elses_is_not_there_and_stays_as_it_is(client: Client, anna: Any, verb: str) -> None:
    endpoint = made(anna)
    client.force_login(person("bert", "member"))
    before = history(endpoint)
    assert client.post(address(endpoint, verb), TYPED).status_code == 404
    assert history(endpoint) == before


def test_who_only_looks_at_all_may_not_change_any(client: Client, anna: Any) -> None:
    from django.contrib.auth.models import Permission

    endpoint, viewer = made(anna), person("vera", "viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
    client.force_login(viewer)
    text = text_of(client, address(endpoint))
    assert "<form" not in text.split('id="main"')[1]
    for verb in ("pause", "reveal", "rotate", "edit"):
        assert client.post(address(endpoint, verb)).status_code == 403


def test_without_the_csrf_token_nothing_happens(anna: Any) -> None:
    endpoint = made(anna)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(anna)
    assert browser.post(address(endpoint, "reveal")).status_code == 403
    assert browser.post(f"{URL}new", TYPED).status_code == 403
    assert len(history(endpoint)) == 1


def test_what_people_write_is_never_markup(page: Client, anna: Any) -> None:
    endpoint = made(anna, description=EVIL, tags=[EVIL], kinds=[EVIL], metadata={EVIL: EVIL})
    endpoints.pause(endpoint.pk, who=EVIL)
    delivery_to(endpoint, status="FAILED", finished_at=timezone.now(), reason=EVIL)
    for path in (URL, address(endpoint), address(endpoint, "edit"), address(endpoint, "delete"), "/dashboard/"):
        text = page.get(path).content.decode()
        assert "<img src" not in text
        if path != "/dashboard/":
            assert EVIL in html.unescape(text)


def test_a_hostile_form_comes_back_as_text(page: Client) -> None:
    fields = ("url", "description", "globs", "kinds", "tags", "metadata", "headers", "secret")
    text = page.post(f"{URL}new", dict.fromkeys(fields, f'"></textarea>{EVIL}') | {"event": EVIL}).content.decode()
    assert "<img src" not in text
    assert "</textarea><img" not in text


def test_the_catalogue_shows_every_type_with_an_example_and_its_schema(page: Client) -> None:
    text = text_of(page, f"{URL}events")
    for name in fields.EVENT_TYPES:
        assert f'id="{name}"' in text
        assert f"Example of {name}" in text
        assert f"JSON Schema of {name}" in text
    form = text_of(page, f"{URL}new")
    assert all(f'value="{name}"' in form for name in fields.EVENT_TYPES if name != "ping")


def test_the_page_takes_a_bounded_number_of_queries(
    page: Client, anna: Any, django_assert_max_num_queries: Any
) -> None:
    endpoint = made(anna)
    for _ in range(20):
        delivery_to(endpoint)
    with django_assert_max_num_queries(11):
        page.get(address(endpoint))
