"""What notifications has to say about a task that comes in (settings.TASK_VALIDATORS)."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from notifications.targets import EgressPolicy, TargetRefused, check_url


def check_callback(fields: Mapping[str, Any]) -> dict[str, str]:
    """A callback address must be one that we may send to, and there must be a key to sign with."""
    url = fields.get("callback_url")
    if not url:
        return {}
    if not settings.WEBHOOK_SIGNING_KEY:
        return {"callback_url": "Callbacks are off here: the operator has set no WEBHOOK_SIGNING_KEY."}
    try:
        check_url(url, EgressPolicy.from_settings())
    except TargetRefused as refusal:
        return {"callback_url": refusal.public_message}
    return {}
