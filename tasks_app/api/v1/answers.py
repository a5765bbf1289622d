"""What /api/v1 says of a task: the shape of the root paths and whose it is, with the version as ETag."""

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from tasks_app.api.renderers import json_response
from tasks_app.api.representation import TaskJSON, task_json
from tasks_app.models import Task

_ETAGS = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_OURS = re.compile(r'"([0-9]{1,10})(?:[-;]{1,2}(?:gzip|br|zstd|deflate|df))?"')
"""A version, also with what a proxy that compresses puts behind it: Caddy and Apache `-gzip`, Jetty `--gzip`, others `;`."""


class OwnedTaskJSON(TaskJSON):
    """`owner` is a user name; null once that user is gone."""

    owner: str | None


def owned_json(task: Task, *, owner: Any = None) -> OwnedTaskJSON:
    """`owner` saves a query where the user is known already."""
    user = owner or task.owner
    return {**task_json(task), "owner": user.get_username() if user else None}


def task_response(
    task: Task, *, owner: Any = None, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """One task with its ETag; when it is new also where it is."""
    own = {"ETag": f'"{task.version}"', **(headers or {})}
    if status == 201:
        own["Location"] = f"{settings.PATH_PREFIX}/api/v1/tasks/{task.pk}"
    return json_response(owned_json(task, owner=owner), status=status, headers=own)


def wanted_versions(request: Request) -> frozenset[int] | None:
    """From If-Match (RFC 9110): the versions that may be changed; None where any may.

    A tag names a version and not bytes, so it counts also where a proxy has compressed the answer and made it weak
    (`W/"3"`, nginx) or put the encoding behind it (`"3-gzip"`, Caddy). One that is not ours matches nothing.
    """
    text = request.headers.get("If-Match")
    if text is None or text.strip() == "*":
        return None
    return frozenset(map(int, _OURS.findall(text))) if _ETAGS.fullmatch(text) else frozenset()
