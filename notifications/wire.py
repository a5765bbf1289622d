"""What one attempt says: the address, the bytes and the headers of a delivery, and the sending of them."""

import shlex

from django.conf import settings

from notifications import sealed, secrets, sender, signing
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from notifications.sender import Exchange
from notifications.targets import EgressPolicy
from tasks_app import clock

Source = Endpoint.Source
NO_BODY = "Its body is no longer kept (WEBHOOK_PAYLOAD_DAYS)."


def exchange(delivery: Delivery, attempt: DeliveryAttempt) -> Exchange:
    """Makes the request. `delivery` has its event and endpoint loaded."""
    body = body_of(delivery)
    if not body:
        return Exchange(error_code="blocked", error_message=NO_BODY)
    try:
        headers = {**secrets.headers(delivery.endpoint), **_headers(delivery, attempt.number, body)}
        return sender.send(
            url_of(delivery), body=body, headers=headers, policy=EgressPolicy.from_settings(),
            deadline_seconds=settings.WEBHOOK_DEADLINE_SECONDS, ca_bundle=settings.WEBHOOK_CA_BUNDLE,
        )  # fmt: skip
    except (ValueError, sealed.CannotUnseal) as error:  # a key that is gone: said, and replayable
        message = "This server's settings do not allow it to be signed and sent."
        return Exchange(error_code="blocked", error_message=message, error_detail=str(error))


def curl_line(delivery: Delivery) -> str:
    """The request as a command, signed for this moment; the endpoint's own headers by name only.

    Raises ValueError and as `sealed` does where it cannot be signed, or its body is gone.
    """
    body = body_of(delivery)
    if not body:
        raise ValueError(NO_BODY)
    parts = ["curl", "-i", "--data-binary", shlex.quote(body.decode())]
    for name, value in _headers(delivery, delivery.attempts + 1, body).items():
        parts += ["-H", shlex.quote(f"{name}: {value}")]
    for name in delivery.endpoint.header_names:
        parts += ["-H", shlex.quote(f"{name}: …")]
    return " ".join([*parts, shlex.quote(url_of(delivery))])


def _headers(delivery: Delivery, number: int, body: bytes) -> dict[str, str]:
    event, at = delivery.event, int(clock.now().timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": f"Taskmanager-Webhooks/{settings.VERSION}",
        "webhook-id": event.webhook_id,
        "webhook-timestamp": str(at),
        "x-taskmanager-event": event.type,
        "x-taskmanager-delivery": str(delivery.pk),
        "x-taskmanager-attempt": str(number),
    }
    if signers := signing_secrets(delivery):
        headers["webhook-signature"] = signing.sign(signers, event.webhook_id, at, body)
    return headers


def url_of(delivery: Delivery) -> str:
    """Where it goes. Endpoints are read anew: mending a wrong address mends what waits."""
    current = {Source.DEFAULT: settings.WEBHOOK_URL, Source.ENDPOINT: delivery.endpoint.url}
    return str(current.get(Source(delivery.endpoint.source), "") or delivery.url)


def body_of(delivery: Delivery) -> bytes:
    """The bytes, frozen when the event was made; empty once they are no longer kept."""
    event, endpoint = delivery.event, delivery.endpoint
    if endpoint.source == Source.DEFAULT:
        return event.flat_body.encode()
    return ((endpoint.include_result and event.result_body) or event.body).encode()


def signing_secrets(delivery: Delivery) -> list[str]:
    """What it is signed with, newest first. Raises as `secrets` and `signing` do."""
    endpoint = delivery.endpoint
    if endpoint.source == Source.DEFAULT:
        return [settings.WEBHOOK_URL_SECRET] if settings.WEBHOOK_URL_SECRET else []
    if endpoint.source == Source.CALLBACK:
        return [signing.derive_secret(settings.WEBHOOK_SIGNING_KEY, str(delivery.event.owner_id or "nobody"))]
    return secrets.signing_with(endpoint, clock.now())
