"""What one attempt says: the address, the bytes and the headers of a delivery, and the sending of them."""

import shlex
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from notifications import sealed, secrets, sender, signing
from notifications.connection import Keep
from notifications.models import Delivery, Endpoint
from notifications.sender import Exchange
from notifications.statements import Claimed
from notifications.targets import EgressPolicy
from tasks_app import clock

Source = Endpoint.Source
NO_BODY = "Its body is no longer kept (WEBHOOK_PAYLOAD_DAYS)."


@dataclass(frozen=True, kw_only=True)
class Sending(Claimed):
    """An attempt with its endpoint, as that was when the attempt was claimed."""

    endpoint: Endpoint


def exchange(sending: Sending, *, keep: Keep | None = None) -> Exchange:
    """Makes the request, over a connection of `keep` where there is one."""
    if not sending.body:
        return Exchange(error_code="blocked", error_message=NO_BODY)
    endpoint, body = sending.endpoint, sending.body.encode()
    try:
        return sender.send(
            sending.url,
            body=body,
            headers={**secrets.headers(endpoint), **_headers(sending, body)},
            policy=EgressPolicy.from_settings(),
            deadline_seconds=settings.WEBHOOK_DEADLINE_SECONDS,
            ca_bundle=settings.WEBHOOK_CA_BUNDLE,
            keep=keep,
        )
    except (ValueError, sealed.CannotUnseal) as error:  # a key that is gone: said, and replayable
        message = "This server's settings do not allow it to be signed and sent."
        return Exchange(error_code="blocked", error_message=message, error_detail=str(error))


def curl_line(delivery: Delivery) -> str:
    """The request as a command, signed for this moment; the endpoint's own headers by name only.

    Raises ValueError and as `sealed` does where it cannot be signed, or its body is gone.
    """
    sending = _next_of(delivery)
    if not sending.body:
        raise ValueError(NO_BODY)
    parts = ["curl", "-i", "--data-binary", shlex.quote(sending.body)]
    for name, value in _headers(sending, sending.body.encode()).items():
        parts += ["-H", shlex.quote(f"{name}: {value}")]
    for name in delivery.endpoint.header_names:
        parts += ["-H", shlex.quote(f"{name}: …")]
    return " ".join([*parts, shlex.quote(sending.url)])


def _next_of(delivery: Delivery) -> Sending:
    event, endpoint = delivery.event, delivery.endpoint
    return Sending(
        delivery_id=delivery.pk,
        endpoint_id=endpoint.pk,
        endpoint=endpoint,
        number=delivery.attempts + 1,
        attempts_uncounted=delivery.attempts_uncounted,
        trigger=delivery.trigger,
        url=url_of(delivery),
        expires_at=delivery.expires_at,
        event_id=event.pk,
        type=event.type,
        task_id=event.task_id,
        owner_id=event.owner_id,
        body=body_of(delivery).decode(),
    )


def _headers(sending: Sending, body: bytes) -> dict[str, str]:
    at, webhook_id = int(clock.now().timestamp()), f"evt_{sending.event_id}"
    headers = {
        "content-type": "application/json",
        "user-agent": f"Taskmanager-Webhooks/{settings.VERSION}",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "x-taskmanager-event": sending.type,
        "x-taskmanager-delivery": str(sending.delivery_id),
        "x-taskmanager-attempt": str(sending.number),
    }
    if signers := _signers(sending.endpoint, sending.owner_id):
        headers["webhook-signature"] = signing.sign(signers, webhook_id, at, body)
    return headers


def url_of(delivery: Delivery) -> str:
    """Where it goes. Endpoints are read anew: mending a wrong address mends what waits."""
    return url_of_endpoint(delivery.endpoint) or str(delivery.url)


def url_of_endpoint(endpoint: Endpoint) -> str:
    """Where all that an endpoint gets goes; empty where each delivery has an address of its own."""
    if endpoint.source == Source.DEFAULT:
        return str(settings.WEBHOOK_URL)
    return str(endpoint.url) if endpoint.source == Source.ENDPOINT else ""


def body_column(endpoint: Endpoint) -> str:
    """The column of an event whose bytes, frozen when it was made, this endpoint gets."""
    if endpoint.source == Source.DEFAULT:
        return "flat_body"
    return "result_body" if endpoint.include_result else "body"


def body_of(delivery: Delivery) -> bytes:
    """The bytes, frozen when the event was made; empty once they are no longer kept."""
    event, column = delivery.event, body_column(delivery.endpoint)
    text = getattr(event, column)
    return (text or event.body if column == "result_body" else text).encode()


def signing_secrets(delivery: Delivery) -> list[str]:
    """What it is signed with, newest first. Raises as `secrets` and `signing` do."""
    return _signers(delivery.endpoint, delivery.event.owner_id)


def _signers(endpoint: Endpoint, owner_id: int | None) -> list[str]:
    if endpoint.source == Source.DEFAULT:
        return [settings.WEBHOOK_URL_SECRET] if settings.WEBHOOK_URL_SECRET else []
    if endpoint.source == Source.CALLBACK:
        return [_callback_secret(settings.WEBHOOK_SIGNING_KEY, str(owner_id or "nobody"))]
    return secrets.signing_with(endpoint, clock.now())


@lru_cache(maxsize=256)
def _callback_secret(key: str, owner: str) -> str:
    return signing.derive_secret(key, owner)
