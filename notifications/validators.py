"""What notifications has to say about a task that comes in (settings.TASK_VALIDATORS)."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from notifications import fields as fields_of_endpoints
from notifications import handlers


def check_callback(fields: Mapping[str, Any]) -> dict[str, str]:
    """A callback address must be one that we may send to, and there must be a key to sign with."""
    url = fields.get("callback_url")
    if not url:
        return {}
    if not settings.WEBHOOK_SIGNING_KEY:
        return {"callback_url": "Callbacks are off here: the operator has set no WEBHOOK_SIGNING_KEY."}
    problem = fields_of_endpoints.check_address(url)
    return {"callback_url": problem} if problem else {}


def check_http_request(fields: Mapping[str, Any]) -> dict[str, str]:
    """The address of an `http_request` must be one that we may call, its headers ones that we may send.

    Of a change only the changed fields are here. Without a kind there is nothing to say: what the schema cannot see in a
    changed payload then shows when the task runs.
    """
    payload = fields.get("payload")
    if fields.get("kind") != handlers.KIND or not isinstance(payload, Mapping):
        return {}
    return handlers.target_problems(payload) | handlers.request_problems(payload)
