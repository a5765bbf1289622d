"""System checks: what is configured for webhooks and cannot work."""

from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from notifications import payloads, sealed, signing
from notifications.targets import EgressPolicy, TargetRefused, check_url


def refuse_errors() -> None:
    """At start, in every process and command: none goes on with what cannot work. Raises ImproperlyConfigured."""
    for message in webhook_settings():
        if message.level >= ERROR:
            raise ImproperlyConfigured(f"{message.msg} {message.hint or ''}".strip())


@register
def webhook_settings(**_: Any) -> list[CheckMessage]:
    """Rules that cannot be read, event names that match nothing, secrets of the wrong form, no signature."""
    found: list[CheckMessage] = []
    try:
        policy = EgressPolicy.from_settings()
        if settings.WEBHOOK_URL:
            check_url(settings.WEBHOOK_URL, policy)
    except ImproperlyConfigured as error:
        found.append(Error(str(error), id="notifications.E005"))
    except TargetRefused as error:
        found.append(Error(f"WEBHOOK_URL: {error.detail}", id="notifications.E005"))
    known = sorted(set(payloads.EVENT_TYPES.values()))
    for pattern in settings.WEBHOOK_EVENTS:
        if not any(fnmatchcase(name, pattern) for name in known):
            found.append(Error(f"WEBHOOK_EVENTS: {pattern!r} matches no event.", hint=f"Known: {', '.join(known)}.",
                               id="notifications.E001"))  # fmt: skip
    if settings.WEBHOOK_URL_SECRET:
        try:
            signing.sign([settings.WEBHOOK_URL_SECRET], "evt_check", 0, b"")
        except ValueError as error:
            found.append(Error(f"WEBHOOK_URL_SECRET: {error}", id="notifications.E002"))
    if settings.WEBHOOK_SIGNING_KEY:
        try:
            signing.derive_secret(settings.WEBHOOK_SIGNING_KEY, "check")
        except ValueError as error:
            found.append(Error(str(error), id="notifications.E004"))
    for key in settings.WEBHOOK_ENCRYPTION_KEYS:
        try:
            sealed.check(key)
        except ValueError as error:
            found.append(Error(f"WEBHOOK_ENCRYPTION_KEYS: {error}", id="notifications.E003"))
    if settings.WEBHOOK_URL and not settings.WEBHOOK_URL_SECRET:
        found.append(Warning("WEBHOOK_URL is told without a signature.", id="notifications.W001",
                             hint="Set WEBHOOK_URL_SECRET (whsec_…) so that the receiver can tell who is calling."))  # fmt: skip
    return found
