"""What people do with endpoints, and what each of it leaves behind."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail

from notifications import deliveries, endpoints, sealed, secrets, signing
from notifications.endpoints import EndpointRefused, InvalidEndpoint
from notifications.models import Delivery, Endpoint, EndpointEvent
from tests.notifications.making import EXAMPLE, delivery_to, made
from tests.tasks_app.making import NOW, SECOND

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
OLD_KEY, NEW_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def fresh(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.get(pk=endpoint.pk)


def history(endpoint: Endpoint) -> list[str]:
    return list(EndpointEvent.objects.filter(endpoint=endpoint).order_by("pk").values_list("what", flat=True))


# ---- Made ------------------------------------------------------------------------------------------------------------


def test_a_new_endpoint_is_enabled_and_has_a_secret_of_its_own(anna: Any) -> None:
    endpoint, secret = endpoints.create(anna.pk, {"url": EXAMPLE, "event_types": ["task.*"]}, who="anna")
    found = fresh(endpoint)
    assert (found.state, found.source, found.owner, found.event_types) == ("enabled", "endpoint", anna, ["task.*"])
    assert len(signing.parse_secret(secret)) == 32
    assert [kept.secret for kept in secrets.read(found)] == [secret]
    assert history(endpoint) == ["Created"]


def test_secrets_and_headers_are_encrypted_at_rest(anna: Any) -> None:
    endpoint, secret = endpoints.create(
        anna.pk, {"url": EXAMPLE, "event_types": ["*"], "headers": {"Authorization": "Bearer hidden"}}, who="anna"
    )
    row = Endpoint.objects.filter(pk=endpoint.pk).values().get()
    stored = str(row)
    assert secret not in stored and secret.removeprefix("whsec_") not in stored and "hidden" not in stored
    assert secrets.headers(endpoint) == {"authorization": "Bearer hidden"}
    assert row["header_names"] == ["authorization"]


def test_a_new_encryption_key_in_front_opens_what_was_sealed_before(anna: Any, settings: Any) -> None:
    """Before there were keys, one derived from SECRET_KEY sealed."""
    endpoint, first = endpoints.create(anna.pk, {"url": EXAMPLE, "event_types": ["*"]}, who="anna")
    settings.WEBHOOK_ENCRYPTION_KEYS = [OLD_KEY]
    _, second = endpoints.rotate(endpoint.pk, who="anna")
    settings.WEBHOOK_ENCRYPTION_KEYS = [NEW_KEY, OLD_KEY]
    assert [kept.secret for kept in secrets.read(fresh(endpoint))] == [second, first]
    settings.WEBHOOK_ENCRYPTION_KEYS = [NEW_KEY]
    with pytest.raises(sealed.CannotUnseal, match="SECRET_KEY"):
        secrets.read(fresh(endpoint))


@pytest.mark.parametrize("bytes_, fits", [(23, False), (24, True), (64, True), (65, False)])
def test_an_own_secret_has_24_to_64_bytes(anna: Any, bytes_: int, fits: bool) -> None:
    secret = signing._as_secret(b"k" * bytes_)
    if fits:
        assert secrets.read(made(anna, secret=secret))[0].secret == secret
    else:
        with pytest.raises(InvalidEndpoint) as refused:
            made(anna, secret=secret)
        assert "secret" in refused.value.problems and secret not in str(refused.value)


BAD: Any = {
    "no address": {"url": ""}, "metadata address": {"url": "http://169.254.169.254/"}, "private": {"url": "https://10.0.0.1/"},
    "credentials": {"url": "https://a:b@example.org/"}, "number": {"url": 7}, "long": {"url": "https://e.org/" + "a" * 2048},
    "no types": {"event_types": []}, "text": {"event_types": "task.*"}, "unknown type": {"event_types": ["job.done"]},
    "many types": {"event_types": ["task.*"] * 21}, "kinds": {"kinds": "message"}, "tags": {"tags": [1]},
    "metadata list": {"metadata": []}, "deep metadata": {"metadata": {"a": {"b": 1}}}, "nul": {"description": "\0"},
    "long description": {"description": "a" * 256}, "flag": {"include_result": "yes"}, "field": {"state": "enabled"},
    "secret": {"secret": "open sesame"}, "many headers": {"headers": {f"X-{number}": "a" for number in range(11)}},
    "long header": {"headers": {"X-A": "a" * 4097}}, "header number": {"headers": {"X-A": 1}},
    "header twice": {"headers": {"X-A": "a", "x-a": "b"}}, "crlf": {"headers": {"X-A": "a\r\nX-B: c"}},
    "header name": {"headers": {"X A": "a"}},
} | {
    f"header {name}": {"headers": {name: "x"}}
    for name in ("Host", "Content-Type", "Webhook-Id", "X-Taskmanager-Event", "User-Agent", "TE", "Upgrade", "Connection")
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_an_endpoint_cannot_be_is_said_by_its_field(anna: Any, case: str) -> None:
    (name,) = BAD[case]
    with pytest.raises(InvalidEndpoint) as refused:
        made(anna, **BAD[case])
    assert list(refused.value.problems) == [name]
    assert Endpoint.objects.count() == 0


def test_what_is_missing_is_said() -> None:
    with pytest.raises(InvalidEndpoint) as refused:
        endpoints.create(1, {}, who="anna")
    assert set(refused.value.problems) == {"url", "event_types"}


def test_an_owner_has_so_many_and_no_more(anna: Any, settings: Any) -> None:
    settings.WEBHOOK_ENDPOINTS_MOST = 2
    made(anna), made(anna)
    with pytest.raises(EndpointRefused, match="2 endpoints"):
        made(anna)


# ---- Changed ---------------------------------------------------------------------------------------------------------


def test_another_path_keeps_the_headers_and_another_host_does_not_get_them(anna: Any) -> None:
    endpoint = made(anna, headers={"Authorization": "Bearer x"})
    endpoints.change(endpoint.pk, {"url": EXAMPLE + "/other"}, who="anna")
    assert fresh(endpoint).header_names == ["authorization"]
    with pytest.raises(EndpointRefused, match="stored headers") as refused:
        endpoints.change(endpoint.pk, {"url": "https://elsewhere.example/"}, who="anna")
    assert (refused.value.code, fresh(endpoint).url) == ("new_host", EXAMPLE + "/other")
    endpoints.change(endpoint.pk, {"url": "https://elsewhere.example/"}, who="anna", new_host=True)
    assert (secrets.headers(fresh(endpoint)), fresh(endpoint).header_names) == ({}, [])


@pytest.mark.parametrize("url", ["https://example.org:8443/hook", "http://example.org/hook"])
def test_neither_does_another_port_or_scheme(anna: Any, settings: Any, url: str) -> None:
    settings.WEBHOOK_ALLOW_HTTP = True
    endpoint = made(anna, headers={"Authorization": "Bearer x"})
    with pytest.raises(EndpointRefused, match="stored headers"):
        endpoints.change(endpoint.pk, {"url": url}, who="anna")


def test_headers_given_anew_go_to_the_other_host(anna: Any) -> None:
    endpoint = made(anna, headers={"Authorization": "Bearer x"})
    endpoints.change(endpoint.pk, {"url": "https://elsewhere.example/", "headers": {"x-key": "y"}}, who="anna")
    assert secrets.headers(fresh(endpoint)) == {"x-key": "y"}


def test_history_says_who_changed_which_field_and_no_value(anna: Any) -> None:
    endpoint = made(anna)
    endpoints.change(endpoint.pk, {"description": "Shop", "headers": {"x-key": "hidden"}}, who="token ci")
    line = EndpointEvent.objects.filter(endpoint=endpoint).latest("pk")
    assert (line.what, line.who) == ("Changed: description, headers", "token ci")


def test_a_secret_is_not_changed_but_rotated(anna: Any) -> None:
    with pytest.raises(InvalidEndpoint, match="Rotate"):
        endpoints.change(made(anna).pk, {"secret": signing.new_secret()}, who="anna")


# ---- Secrets ---------------------------------------------------------------------------------------------------------


def signing_at(endpoint: Endpoint, seconds: float) -> list[str]:
    return secrets.signing_with(fresh(endpoint), NOW + seconds * SECOND)


def test_after_a_rotation_both_sign_until_the_overlap_is_over(anna: Any) -> None:
    endpoint, first = endpoints.create(anna.pk, {"url": EXAMPLE, "event_types": ["*"]}, who="anna", now=NOW)
    _, second = endpoints.rotate(endpoint.pk, who="anna", overlap_seconds=60, now=NOW)
    assert signing_at(endpoint, 59) == [second, first]
    assert signing_at(endpoint, 61) == [second]


def test_two_old_secrets_are_kept_and_no_more(anna: Any) -> None:
    endpoint = made(anna, now=NOW)
    made_then = [endpoints.rotate(endpoint.pk, who="anna", now=NOW)[1] for _ in range(3)]
    assert signing_at(endpoint, 1) == made_then[::-1]


def test_a_second_rotation_does_not_lengthen_the_first_ones_overlap(anna: Any) -> None:
    endpoint, first = endpoints.create(anna.pk, {"url": EXAMPLE, "event_types": ["*"]}, who="anna", now=NOW)
    endpoints.rotate(endpoint.pk, who="anna", overlap_seconds=10, now=NOW)
    endpoints.rotate(endpoint.pk, who="anna", overlap_seconds=1000, now=NOW + 5 * SECOND)
    assert first in signing_at(endpoint, 9) and first not in signing_at(endpoint, 11)


def test_old_ones_can_be_revoked_at_once(anna: Any) -> None:
    endpoint = made(anna)
    _, second = endpoints.rotate(endpoint.pk, who="anna")
    endpoints.revoke_old(endpoint.pk, who="anna")
    assert [kept.secret for kept in secrets.read(fresh(endpoint))] == [second]


@pytest.mark.parametrize("seconds", [-1, 604_801])
def test_an_overlap_has_bounds(anna: Any, seconds: int) -> None:
    with pytest.raises(InvalidEndpoint, match="overlap_seconds"):
        endpoints.rotate(made(anna).pk, who="anna", overlap_seconds=seconds)


def test_whoever_looks_at_a_secret_is_written_down(anna: Any) -> None:
    endpoint, secret = endpoints.create(anna.pk, {"url": EXAMPLE, "event_types": ["*"]}, who="anna")
    assert endpoints.reveal(endpoint.pk, who="page:otto")[0].secret == secret
    line = EndpointEvent.objects.filter(endpoint=endpoint).latest("pk")
    assert (line.what, line.who) == ("Secret revealed", "page:otto")


def test_a_key_that_is_gone_is_said_and_no_error_of_ours(anna: Any, settings: Any) -> None:
    endpoint = made(anna)
    settings.SECRET_KEY = "another key, for tests only"
    with pytest.raises(EndpointRefused, match="WEBHOOK_ENCRYPTION_KEYS"):
        endpoints.reveal(endpoint.pk, who="anna")


# ---- Paused, disabled, enabled, deleted ------------------------------------------------------------------------------


def test_pausing_holds_what_waits_and_enabling_does_not_send_it(anna: Any) -> None:
    endpoint = made(anna)
    waiting = delivery_to(endpoint)
    endpoints.pause(endpoint.pk, who="anna")
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reason) == ("HELD", "The endpoint is paused.")
    endpoints.enable(endpoint.pk, who="anna")
    waiting.refresh_from_db()
    assert (waiting.status, fresh(endpoint).state) == ("HELD", "enabled")


def test_enabling_closes_the_breaker_and_stops_the_clock_of_failures(anna: Any) -> None:
    endpoint = made(anna)
    Endpoint.objects.update(breaker_openings=3, failures_in_row=40, failing_since=NOW, notices=2, not_before=NOW + DAY)
    endpoints.pause(endpoint.pk, who="anna")
    endpoints.enable(endpoint.pk, who="anna")
    found = fresh(endpoint)
    assert (found.breaker_openings, found.failures_in_row, found.failing_since, found.not_before) == (0, 0, None, None)
    assert found.last_success_at is None, "nothing was taken yet"


def test_a_disabled_endpoint_needs_a_test_that_was_taken_or_force(anna: Any) -> None:
    endpoint = made(anna)
    endpoints.disable(endpoints.locked(endpoint.pk), "It answered 410.", who="", now=NOW)
    with pytest.raises(EndpointRefused, match="test") as refused:
        endpoints.enable(endpoint.pk, who="anna")
    assert refused.value.code == "test_needed"
    tested = endpoints.test(endpoint.pk, who="anna", now=NOW + SECOND)
    Delivery.objects.filter(pk=tested.pk).update(status="DELIVERED", next_attempt_at=None, finished_at=NOW + 2 * SECOND)
    assert endpoints.enable(endpoint.pk, who="anna").state == "enabled"
    endpoints.disable(endpoints.locked(endpoint.pk), "Again.", who="", now=NOW + 3 * SECOND)
    with pytest.raises(EndpointRefused):
        endpoints.enable(endpoint.pk, who="anna")
    assert endpoints.enable(endpoint.pk, who="anna", force=True).state == "enabled"


def test_disabling_tells_the_owners_other_endpoints_and_the_owner(
    anna: Any, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.EMAIL_HOST, anna.email = "mail.example.org", "anna@example.org"
    anna.save()
    endpoint, other = made(anna, event_types=["*"]), made(anna, event_types=["webhook.endpoint.disabled"])
    made(anna, event_types=["task.*"])
    with django_capture_on_commit_callbacks(execute=True):
        endpoints.disable(endpoints.locked(endpoint.pk), "Nothing was taken.", who="", now=NOW)
    (told,) = Delivery.objects.select_related("event")
    assert EXAMPLE not in told.event.body, "a path may hold a secret"
    assert (told.endpoint, told.event.type, "Nothing was taken." in told.event.body) == (
        other,
        "webhook.endpoint.disabled",
        True,
    )
    assert [(sent.to, "Nothing was taken." in sent.body) for sent in mail.outbox] == [(["anna@example.org"], True)]


def test_a_deleted_endpoint_is_gone_at_once_and_its_rows_a_little_later(anna: Any) -> None:
    endpoint = made(anna)
    delivery = delivery_to(endpoint)
    endpoints.delete(endpoint.pk, who="anna", now=NOW)
    assert (endpoints.own().count(), Endpoint.objects.get().secrets) == (0, "")
    deliveries.send(delivery.pk)
    assert Delivery.objects.get().attempts == 0
    endpoints.sweep_deleted(now=NOW + 599 * SECOND)
    assert Endpoint.objects.count() == 1, "a transaction under way may still plan for it"
    endpoints.sweep_deleted(now=NOW + 601 * SECOND)
    assert (Endpoint.objects.count(), Delivery.objects.count()) == (0, 0)


def test_an_endpoint_whose_owner_is_gone_ends(anna: Any) -> None:
    made(anna)
    anna.delete()
    endpoints.sweep_deleted(now=NOW)
    assert (Endpoint.objects.get().state, Endpoint.objects.get().deleted_at) == ("disabled", NOW)
