"""The paths at the root that clients of the two earlier systems know: a thin layer over the verbs."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from tasks_app import lifecycle
from tasks_app.api.lookup import access_of, check_may_create, find_task, parse_id
from tasks_app.api.renderers import json_response
from tasks_app.api.representation import task_json
from tasks_app.api.serializers import NewTaskSerializer, TaskChangeSerializer
from tasks_app.idempotency import idempotent

PAGE = 1000


class TaskList(APIView):
    """`GET /tasks` and `POST /tasks`."""

    def get(self, request: Request) -> HttpResponse:
        """Newest first, up to 1,000 a page; `next` (and a Link header) leads on, null at the end."""
        limit = _limit(request.query_params.get("limit"))
        rows = access_of(request).tasks()
        if (after := request.query_params.get("after")) is not None:
            rows = rows.filter(pk__lt=parse_id(after, ValidationError({"after": "This is no cursor of ours."})))
        tasks = list(rows.order_by("-pk")[: limit + 1])
        more, tasks = len(tasks) > limit, tasks[:limit]
        body = {"tasks": [task_json(task) for task in tasks], "next": None}
        if not more:
            return json_response(body)
        query = urlencode({"after": tasks[-1].pk, "limit": limit})
        following = request.build_absolute_uri(f"{request.path}?{query}")
        return json_response({**body, "next": following}, headers={"Link": f'<{following}>; rel="next"'})

    @idempotent
    def post(self, request: Request) -> HttpResponse:
        """Takes a task in. 201 with the task, once it is committed."""
        check_may_create(request)
        new = NewTaskSerializer.read(request.data)
        task = lifecycle.submit(new, owner_id=request.user.pk, who=access_of(request).who)
        body = task_json(task)
        return json_response(
            {**body, "task": body}, status=201, headers={"Location": f"{settings.PATH_PREFIX}/tasks/{task.pk}"}
        )


class TaskDetail(APIView):
    """`GET`, `PUT` and `DELETE /tasks/{id}`."""

    def get(self, request: Request, task_id: str) -> HttpResponse:
        """The task, its fields at the top level."""
        return json_response(task_json(find_task(request, task_id, action="view")))

    def put(self, request: Request, task_id: str) -> HttpResponse:
        """Changes fields; `done` ends or reopens the task."""
        task = find_task(request, task_id, action="change")
        changes, done = TaskChangeSerializer(data=request.data).read()
        task = lifecycle.update(task.pk, changes, who=access_of(request).who)
        if done is True:
            task = lifecycle.complete(task.pk, who=access_of(request).who)
        elif done is False and task.is_finished:
            task = lifecycle.reopen(task.pk, who=access_of(request).who)
        return json_response({"task": task_json(task)})

    def delete(self, request: Request, task_id: str) -> HttpResponse:
        """Removes the task, in any status."""
        task = find_task(request, task_id, action="delete")
        lifecycle.delete(task.pk, who=access_of(request).who)
        return json_response({"message": f"Task {task.pk} was deleted."})


class TaskComplete(APIView):
    """`PUT /tasks/{id}/complete`."""

    def put(self, request: Request, task_id: str) -> HttpResponse:
        """Ends the task by hand; no error on one that is done."""
        task = find_task(request, task_id, action="change")
        return json_response({"task": task_json(lifecycle.complete(task.pk, who=access_of(request).who))})


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE):
        raise ValidationError({"limit": f"A whole number from 1 to {PAGE}."})
    return int(text)
