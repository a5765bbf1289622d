"""Many tasks in one request and one transaction."""

from typing import Any

from tasks_app import lifecycle
from tasks_app.api.v1.shapes import BatchFields
from tasks_app.exceptions import InvalidTask
from tasks_app.models import Task
from tasks_app.validation import NewTask


def submit(data: Any, *, owner_id: int | None, who: str) -> list[Task]:
    """Takes all in or none. Raises ValidationError and InvalidTask, whose paths begin with `tasks.INDEX.`."""
    fields = BatchFields(data=data)
    fields.is_valid(raise_exception=True)
    new = [NewTask(**item) for item in fields.validated_data["tasks"]]
    try:
        return lifecycle.submit_many(new, owner_id=owner_id, who=who)
    except InvalidTask as error:
        prefix = "tasks." if len(new) > 1 else "tasks.0."
        raise InvalidTask({prefix + name: text for name, text in error.errors.items()}) from None
