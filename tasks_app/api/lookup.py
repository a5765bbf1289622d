"""From a request to the task it means, if whoever asks may do this to it."""

import uuid
from typing import Any, cast

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from tasks_app.access import Access
from tasks_app.exceptions import TaskNotFound
from tasks_app.models import Task


def access_of(request: Request) -> Access:
    """Set by Credentials on every request that came this far."""
    access: Access = cast(Any, request.auth)
    return access


def find_task(request: Request, text: str, *, action: str) -> Task:
    """The task with the id `text`. One that may not be seen does not exist; one that may be seen may still be refused."""
    access = access_of(request)
    task = access.tasks().select_related("owner").filter(pk=parse_id(text, TaskNotFound())).first()
    if task is None:
        raise TaskNotFound
    if not access.may(action, task):
        raise PermissionDenied(f"You may see this task, but not {action} it.")
    return task


def check_may_create(request: Request) -> None:
    """Raises PermissionDenied for who may only look."""
    if not access_of(request).may_create:
        raise PermissionDenied("You may not create tasks: that takes the role member or operator.")


def parse_id(text: str, error: Exception) -> uuid.UUID:
    """A UUID, or `error`."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise error from None
