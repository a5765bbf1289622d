"""The list of tasks, one task, its verbs, and many at once."""

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from tasks_app import lifecycle
from tasks_app.api.lookup import access_of, check_may_create, find_task
from tasks_app.api.renderers import json_response
from tasks_app.api.v1 import batches, filters, query, waiting
from tasks_app.api.v1.answers import owned_json, task_response, wanted_versions
from tasks_app.api.v1.shapes import ChangeFields, EmptyFields, NewTaskFields, ReasonFields, RerunFields
from tasks_app.idempotency import idempotent


class TaskList(APIView):
    """`/api/v1/tasks`."""

    def get(self, request: Request) -> HttpResponse:
        """Lists the tasks you may see, newest first unless `order` says otherwise."""
        found = filters.read(request).page(access_of(request).tasks())
        return query.page_response(request, "tasks", [owned_json(task) for task in found.rows], found.next)

    @idempotent
    def post(self, request: Request) -> HttpResponse:
        """Takes a task in. Once this is answered with 201 the task is stored and will end."""
        check_may_create(request)
        new = NewTaskFields.read(request.data)
        task = lifecycle.submit(new, owner_id=request.user.pk, who=access_of(request).who)
        return task_response(task, owner=request.user, status=201)


class TaskDetail(APIView):
    """`/api/v1/tasks/{id}`."""

    def get(self, request: Request, task_id: str) -> HttpResponse:
        """Reads a task. With `wait` it is answered when the task has ended, or after that many seconds."""
        asked = query.Query(request, {"wait"})
        seconds = asked.one("wait", query.number(0, waiting.MOST_SECONDS), 0)
        asked.check()
        task = find_task(request, task_id, action="view")
        if not seconds or task.is_finished:
            return task_response(task)
        waited = waiting.until_finished(task.pk, seconds=seconds)
        # Read again with the same rights: it may have been deleted meanwhile.
        task = find_task(request, task_id, action="view")
        return task_response(task, headers=None if waited else {"Retry-After": "1"})

    def patch(self, request: Request, task_id: str) -> HttpResponse:
        """Changes fields. Title, description, tags and metadata at any time, the others only while the task waits."""
        task = find_task(request, task_id, action="change")
        changes = ChangeFields(data=request.data).changes()
        changed = lifecycle.update(task.pk, changes, who=access_of(request).who, versions=wanted_versions(request))
        return task_response(changed, owner=task.owner)

    def delete(self, request: Request, task_id: str) -> HttpResponse:
        """Removes the task and its history, in any status. A running attempt then has nothing to settle."""
        task = find_task(request, task_id, action="delete")
        lifecycle.delete(task.pk, who=access_of(request).who, versions=wanted_versions(request))
        return HttpResponse(status=204)


class TaskComplete(APIView):
    """`/api/v1/tasks/{id}/complete`."""

    @idempotent
    def post(self, request: Request, task_id: str) -> HttpResponse:
        """Ends the task by hand as DONE, from any status. Nothing happens to one that is done."""
        task = find_task(request, task_id, action="change")
        EmptyFields(data=request.data).is_valid(raise_exception=True)
        return task_response(lifecycle.complete(task.pk, who=access_of(request).who), owner=task.owner)


class TaskCancel(APIView):
    """`/api/v1/tasks/{id}/cancel`."""

    @idempotent
    def post(self, request: Request, task_id: str) -> HttpResponse:
        """Stops the task: a waiting one at once, a running one is asked to stop and made to after a grace time."""
        task = find_task(request, task_id, action="change")
        reason = ReasonFields(data=request.data).reason_text()
        return task_response(lifecycle.cancel(task.pk, who=access_of(request).who, why=reason), owner=task.owner)


class TaskReopen(APIView):
    """`/api/v1/tasks/{id}/reopen`."""

    @idempotent
    def post(self, request: Request, task_id: str) -> HttpResponse:
        """Makes a finished task wait again, with a new budget of attempts: what people call retry."""
        task = find_task(request, task_id, action="change")
        reason = ReasonFields(data=request.data).reason_text()
        return task_response(lifecycle.reopen(task.pk, who=access_of(request).who, why=reason), owner=task.owner)


class TaskRerun(APIView):
    """`/api/v1/tasks/{id}/rerun`."""

    @idempotent
    def post(self, request: Request, task_id: str) -> HttpResponse:
        """Submits a new task like this one, linked to it by `rerun_of`. Its payload may be another."""
        task = find_task(request, task_id, action="view")
        check_may_create(request)
        payload = RerunFields(data=request.data).new_payload()
        new = lifecycle.rerun(task.pk, who=access_of(request).who, owner_id=request.user.pk, payload=payload)
        return task_response(new, owner=request.user, status=201)


class TaskBatch(APIView):
    """`/api/v1/tasks/batch`."""

    @idempotent
    def post(self, request: Request) -> HttpResponse:
        """Takes up to 1,000 tasks in, all or none. Errors carry the index of the task: `tasks.3.title`."""
        check_may_create(request)
        tasks = batches.submit(request.data, owner_id=request.user.pk, who=access_of(request).who)
        return json_response({"tasks": [owned_json(task, owner=request.user) for task in tasks]}, status=201)
