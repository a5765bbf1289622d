"""What people do with endpoints, and who is told of what. Every change leaves a line of history."""

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db import transaction

from notifications import breaker, fields, outbox, payloads, sealed, secrets, signing
from notifications.models import Delivery, DeliveryAttempt, Endpoint, EndpointEvent, Event
from notifications.targets import Origin, TargetRefused
from tasks_app import clock

logger = logging.getLogger(__name__)

State, Status = Endpoint.State, Delivery.Status


DELETED_FOR = timedelta(minutes=10)


class EndpointRefused(Exception):
    """It cannot be done to this endpoint now. `str()` says why and what to do."""

    def __init__(self, message: str, *, code: str = "endpoint_refused") -> None:
        super().__init__(message)
        self.code = code


class InvalidEndpoint(Exception):
    """Fields that cannot be."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = dict(problems)


def own() -> Any:
    """The endpoints that people made."""
    return Endpoint.objects.filter(source=Endpoint.Source.ENDPOINT, deleted_at=None)


def create(owner_id: int, given: Mapping[str, Any], *, who: str, now: datetime | None = None) -> tuple[Endpoint, str]:
    """A new endpoint and its secret, which is shown this once. Raises InvalidEndpoint, EndpointRefused."""
    now = now or clock.now()
    wanted = dict(given)
    missing = {name: "This field is required." for name in ("url", "event_types") if name not in wanted}
    if problems := {**fields.problems(wanted), **missing}:
        raise InvalidEndpoint(problems)
    secret, headers = wanted.pop("secret", None) or signing.new_secret(), wanted.pop("headers", {})
    endpoint = Endpoint(owner_id=owner_id, state_changed_at=now, created_at=now, updated_at=now, **wanted)
    secrets.put(endpoint, secret, now=now)
    secrets.put_headers(endpoint, {name.lower(): value for name, value in headers.items()})
    with transaction.atomic():
        _check_limit(owner_id)
        endpoint.save(force_insert=True)
        note(endpoint, "Created", who=who, now=now)
    return endpoint, secret


def change(
    endpoint_id: uuid.UUID, given: Mapping[str, Any], *, who: str, new_host: bool = False, now: datetime | None = None
) -> Endpoint:
    """Changes fields. Another host drops the stored headers, which needs `new_host`, or headers given anew."""
    now = now or clock.now()
    wanted = dict(given)
    if problems := fields.problems(wanted) | ({"secret": "Rotate it."} if "secret" in wanted else {}):
        raise InvalidEndpoint(problems)
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        headers = wanted.pop("headers", None)
        if (
            "url" in wanted
            and _origin(wanted["url"]) != _origin(endpoint.url)
            and endpoint.header_names
            and headers is None
        ):
            if not new_host:
                sentence = "Another host must not get the stored headers: send headers anew, or new_host to drop them."
                raise EndpointRefused(sentence, code="new_host")
            headers = {}
        for name, value in wanted.items():
            setattr(endpoint, name, value)
        if headers is not None:
            secrets.put_headers(endpoint, {name.lower(): value for name, value in headers.items()})
        endpoint.updated_at = now
        endpoint.save(update_fields=[*wanted, "headers", "header_names", "updated_at"])
        changed = ", ".join([*wanted, *(["headers"] if headers is not None else [])])
        note(endpoint, f"Changed: {changed}" if changed else "Changed nothing", who=who, now=now)
    return endpoint


def delete(endpoint_id: uuid.UUID, *, who: str, now: datetime | None = None) -> None:
    """Ends it. Its row and the log of its deliveries go a little later: a transaction under way may still refer to it."""
    now = now or clock.now()
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        _set_state(endpoint, State.DISABLED, f"Deleted by {who}.", who=who, now=now)
        endpoint.deleted_at, endpoint.secrets, endpoint.headers = now, "", ""
        endpoint.save(update_fields=["deleted_at", "secrets", "headers"])
    logger.info("Endpoint %s deleted by %s", endpoint_id, who)


def sweep_deleted(*, now: datetime) -> None:
    """Removes what was deleted a while ago, and ends what has lost its owner."""
    own().filter(owner=None).update(state=State.DISABLED, state_reason="Its owner is gone.", deleted_at=now)
    gone = Endpoint.objects.filter(deleted_at__lt=now - DELETED_FOR)
    for endpoint in gone[:10]:
        with transaction.atomic():
            # By two statements: Django would read every delivery first.
            DeliveryAttempt.objects.filter(endpoint=endpoint)._raw_delete(endpoint._state.db)
            Delivery.objects.filter(endpoint=endpoint)._raw_delete(endpoint._state.db)
            endpoint.delete()


def pause(endpoint_id: uuid.UUID, *, who: str, now: datetime | None = None) -> Endpoint:
    """From now on its events are held."""
    now = now or clock.now()
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        if endpoint.state == State.DISABLED:
            raise EndpointRefused("It is disabled already.")
        _set_state(endpoint, State.PAUSED, f"Paused by {who}.", who=who, now=now)
    return endpoint


def disable(endpoint: Endpoint, why: str, *, who: str, now: datetime) -> None:
    """Ends sending, and tells the owner's other endpoints. `endpoint` is locked."""
    if endpoint.state == State.DISABLED:
        return
    _set_state(endpoint, State.DISABLED, why, who=who, now=now)
    body = payloads.plain_body(
        payloads.DISABLED, now, {"endpoint_id": endpoint.pk, "url": _origin(endpoint.url), "reason": why}
    )
    others = own().filter(owner_id=endpoint.owner_id).exclude(pk=endpoint.pk)
    event = Event(type=payloads.DISABLED, owner_id=endpoint.owner_id, created_at=now, body=body)
    outbox.promise(event, [other for other in others if outbox.wants(other, payloads.DISABLED)])
    _mail(endpoint, "disabled", f"{endpoint.url} is not told of anything any more: {why} Its events are held.")


def enable(endpoint_id: uuid.UUID, *, who: str, force: bool = False, now: datetime | None = None) -> Endpoint:
    """Events are sent again. What was held stays held until somebody recovers it.

    A disabled one needs a test that was taken since, or `force`.
    """
    now = now or clock.now()
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        if endpoint.state == State.DISABLED and not force:
            tested = Delivery.objects.filter(
                endpoint=endpoint, event__type=payloads.PING, status=Status.DELIVERED,
                finished_at__gte=endpoint.state_changed_at,
            )  # fmt: skip
            if not tested.exists():
                raise EndpointRefused(
                    "It was disabled. Send a test first, or enable it with force.", code="test_needed"
                )
        breaker.succeeded(endpoint, now=now)
        endpoint.last_success_at = Endpoint.objects.values_list("last_success_at", flat=True).get(pk=endpoint_id)
        endpoint.save(update_fields=breaker.FIELDS)
        _set_state(endpoint, State.ENABLED, "", who=who, now=now)
    return endpoint


def rotate(
    endpoint_id: uuid.UUID, *, who: str, secret: str = "", overlap_seconds: int = secrets.OVERLAP,
    now: datetime | None = None,
) -> tuple[Endpoint, str]:  # fmt: skip
    """A new secret, shown this once; the one before signs too for `overlap_seconds`. Raises InvalidEndpoint."""
    now = now or clock.now()
    if not 0 <= overlap_seconds <= secrets.LONGEST_OVERLAP:
        raise InvalidEndpoint({"overlap_seconds": f"A whole number from 0 to {secrets.LONGEST_OVERLAP}."})
    if secret and (problems := fields.problems({"secret": secret})):
        raise InvalidEndpoint(problems)
    secret = secret or signing.new_secret()
    with _sealing(endpoint_id) as endpoint:
        secrets.put(endpoint, secret, now=now, overlap_seconds=overlap_seconds)
        endpoint.save(update_fields=["secrets"])
        note(endpoint, f"Secret rotated, the old one signs for {overlap_seconds} s more", who=who, now=now)
    return endpoint, secret


def revoke_old(endpoint_id: uuid.UUID, *, who: str, now: datetime | None = None) -> Endpoint:
    """Only the newest secret signs from now on."""
    with _sealing(endpoint_id) as endpoint:
        gone = secrets.drop_old(endpoint)
        endpoint.save(update_fields=["secrets"])
        note(endpoint, f"{gone} old secrets revoked", who=who, now=now or clock.now())
    return endpoint


def reveal(endpoint_id: uuid.UUID, *, who: str, now: datetime | None = None) -> list[secrets.Secret]:
    """The secrets, newest first. Who looked is written down."""
    with _sealing(endpoint_id) as endpoint:
        note(endpoint, "Secret revealed", who=who, now=now or clock.now())
        return secrets.read(endpoint)


def test(endpoint_id: uuid.UUID, *, who: str, now: datetime | None = None) -> Delivery:
    """Sends a `ping` once, whatever state it is in. The next sweep takes it."""
    now = now or clock.now()
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        body = payloads.plain_body(payloads.PING, now, {"endpoint_id": endpoint.pk, "message": "It works."})
        event = Event(type=payloads.PING, owner_id=endpoint.owner_id, created_at=now, body=body)
        (delivery,) = outbox.promise(event, [endpoint], trigger=outbox.TEST, asked_by=who)
        note(endpoint, "Test sent", who=who, now=now)
    return delivery


def tell_of_failing(endpoint: Endpoint, *, now: datetime) -> None:
    """Notices to the owner after a day and three days of failures; disabled after five. `endpoint` is locked."""
    wanted = breaker.notice_due(endpoint, now)
    if endpoint.source != Endpoint.Source.ENDPOINT or wanted <= endpoint.notices:
        return
    endpoint.notices = wanted
    since = f"{endpoint.failing_since:%Y-%m-%d %H:%M} UTC"
    if wanted > len(breaker.NOTICES):
        disable(endpoint, f"Nothing was taken since {since}, in {endpoint.failed_attempts} attempts.", who="", now=now)
        return
    days = breaker.DISABLED_AFTER.days
    note(endpoint, f"Failing since {since}", who="", now=now)
    _mail(endpoint, "failing", f"{endpoint.url} took nothing since {since}. After {days} days it is disabled.")


def locked(endpoint_id: uuid.UUID) -> Endpoint:
    """The endpoint, locked. Raises Endpoint.DoesNotExist."""
    found: Endpoint = own().select_for_update(no_key=True).get(pk=endpoint_id)
    return found


def note(endpoint: Endpoint, what: str, *, who: str, now: datetime) -> None:
    """A line of its history."""
    EndpointEvent.objects.create(endpoint=endpoint, at=now, who=who[:255], what=what[:255])


@contextmanager
def _sealing(endpoint_id: uuid.UUID) -> Iterator[Endpoint]:
    """The locked endpoint, for what is encrypted. A key that is gone is the operator's to mend, and said."""
    try:
        with transaction.atomic():
            yield locked(endpoint_id)
    except sealed.CannotUnseal as error:
        raise EndpointRefused(str(error), code="endpoints_off") from None


def _set_state(endpoint: Endpoint, state: Endpoint.State, why: str, *, who: str, now: datetime) -> None:
    endpoint.state, endpoint.state_reason, endpoint.state_changed_at = state, why, now
    endpoint.save(update_fields=["state", "state_reason", "state_changed_at"])
    shown = endpoint.get_state_display()
    note(endpoint, why if why.startswith(shown) else f"{shown}: {why}" if why else shown, who=who, now=now)
    if state != State.ENABLED:
        waiting = Delivery.objects.filter(endpoint=endpoint, status=Status.PENDING).exclude(trigger=outbox.TEST)
        waiting.update(**outbox.held(endpoint))


def _check_limit(owner_id: int) -> None:
    # One at a time for an owner: several at once would each count the others as not there yet.
    User.objects.select_for_update(no_key=True).filter(pk=owner_id).first()
    if own().filter(owner_id=owner_id).count() >= settings.WEBHOOK_ENDPOINTS_MOST:
        sentence = f"You have {settings.WEBHOOK_ENDPOINTS_MOST} endpoints, which is the limit here. Delete one first."
        raise EndpointRefused(sentence, code="too_many_endpoints")


def _origin(url: str) -> str:
    """Scheme, host and port: another one must not get what was meant for this, and paths may hold secrets."""
    try:
        return str(Origin.parse(url))
    except TargetRefused:
        return ""


def _mail(endpoint: Endpoint, what: str, text: str) -> None:
    """To the owner, once committed, where the operator has set up e-mail. What goes wrong is only logged."""
    address = endpoint.owner.email if endpoint.owner else ""
    if not settings.EMAIL_HOST or not address:
        return
    link = f"\n\n{settings.PUBLIC_URL}/dashboard/webhooks/{endpoint.pk}/" if settings.PUBLIC_URL else ""

    def send() -> None:
        send_mail(f"Webhook endpoint {what}", text + link, None, [address])

    transaction.on_commit(send, robust=True)
