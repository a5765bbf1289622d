"""Tasks that go through every change there is an event for."""

import uuid

from django.utils import timezone

from notifications import endpoints
from notifications.models import Endpoint
from tasks_app import lifecycle
from tasks_app.lifecycle import Outcome
from tests.notifications.making import made
from tests.tasks_app.api.conftest import Caller


def live_every_life(caller: Caller) -> None:
    """Submits tasks of this caller's and lets one succeed, one fail, one be cancelled, changed, and deleted."""
    done, failed, cancelled = (
        caller.submit(title, metadata={"n": 1})["id"] for title in ("Done", "Failed", "Cancelled")
    )
    caller.call("PATCH", f"/api/v1/tasks/{done}", {"title": "Better"})
    started = lifecycle.start([uuid.UUID(done), uuid.UUID(failed)], worker="w1")
    verbs = {str(task.pk): ("succeed" if str(task.pk) == done else "fail") for task in started}
    lifecycle.settle(
        [Outcome(task_id=task.pk, attempt=task.attempt, verb=verbs[str(task.pk)], result='{"a":1}',  # type: ignore[arg-type]
                 error_code="" if str(task.pk) == done else "handler_error", error_message="ValueError: no") for task in started],
        who="w1",
    )  # fmt: skip
    caller.post(f"/api/v1/tasks/{cancelled}/cancel")
    caller.call("DELETE", f"/api/v1/tasks/{done}")
    one = Endpoint.objects.get()
    endpoints.test(one.pk, who="test")
    other = made(caller.user)
    endpoints.disable(endpoints.locked(other.pk), "It answered 410 (gone).", who="", now=timezone.now())
