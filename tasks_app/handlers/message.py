"""The default kind: passes a message on, and simulates work where it is asked to."""

import json
import time
from collections.abc import Mapping
from typing import Any

from tasks_app.exceptions import PermanentError
from tasks_app.handlers.base import TaskContext
from tasks_app.handlers.registry import handler

STEP_SECONDS = 0.25


def _is_short(payload: Mapping[str, Any]) -> bool:
    return not payload.get("seconds")


@handler(
    "message",
    schema={
        "type": "object",
        "properties": {
            "message": {
                "title": "Message",
                "description": "Passed on in the status event. Without it the task fails.",
            },
            "seconds": {
                "title": "Seconds of simulated work",
                "type": "number",
                "minimum": 0,
                "maximum": 3600,
            },
        },
    },
    example={"message": "Hello", "seconds": 3},
    timeout=3660,
    is_short=_is_short,
)
def run(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Passes `message` on; with `seconds` it works that long and reports its progress."""
    if not context.payload_given:
        return {}
    if "message" not in payload:
        raise PermanentError("The payload has no field 'message'.", code="payload_field_missing")
    message = payload["message"]
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    seconds = float(payload.get("seconds") or 0)
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        context.check()
        context.progress(100 * elapsed / seconds, f"{elapsed:.0f} of {seconds:g} s")
        time.sleep(min(STEP_SECONDS, seconds - elapsed))
    context.progress(100, text)
    return {"message": message}
