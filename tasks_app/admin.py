"""Tasks and their history for operators: read-only, since the life-cycle owns them."""

import uuid
from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from tasks_app import broker, lifecycle, quarantine, tokens
from tasks_app.exceptions import TaskError
from tasks_app.models import ApiToken, QuarantinedMessage, Task, TaskEvent
from tasks_app.readonly import ReadOnlyAdmin, ReadOnlyInline

DELIVERIES = "admin:notifications_delivery_changelist"


class EventInline(ReadOnlyInline):
    """The history under its task."""

    model = TaskEvent
    fields = readonly_fields = ("at", "what", "status", "attempt", "version", "who", "why")
    ordering = ["id"]


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """Search by id, or by a part of the title."""

    list_display = ["title", "status", "kind", "attempts", "progress", "owner", "created_at", "finished_at"]
    list_filter = ["status", "kind", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["title__folded_contains"]
    search_help_text = "A task's id, or part of its title"
    ordering = ["-id"]
    inlines = [EventInline]
    actions = ["cancel", "reopen", "rerun", "complete"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Actions are for those who may change any task."""
        return request.user.has_perm("tasks_app.change_task")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        """Stops waiting and running tasks."""
        return self._act(
            request, queryset, "cancel", lambda task, who, why: lifecycle.cancel(task.pk, who=who, why=why)
        )

    @admin.action(description="Reopen: the same tasks again, with new attempts", permissions=["operate"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        """What a person calls retry."""
        return self._act(
            request, queryset, "reopen", lambda task, who, why: lifecycle.reopen(task.pk, who=who, why=why)
        )

    @admin.action(description="Rerun: new tasks like these", permissions=["operate"])
    def rerun(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        """The new tasks belong to the owners of the old."""

        def again(task: Task, who: str, why: str) -> Task:
            return lifecycle.rerun(task.pk, who=who, why=why, owner_id=task.owner_id)

        return self._act(request, queryset, "rerun", again)

    @admin.action(description="Complete by hand", permissions=["operate"])
    def complete(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        """Ends them as DONE."""
        return self._act(
            request, queryset, "complete", lambda task, who, why: lifecycle.complete(task.pk, who=who, why=why)
        )

    def _act(
        self, request: HttpRequest, tasks: QuerySet[Task], action: str, verb: Callable[[Task, str, str], object]
    ) -> HttpResponse | None:
        def attempt(task: Task, who: str, why: str) -> str:
            try:
                verb(task, who, why)
            except TaskError as error:
                return error.message
            return ""

        return self.ask_why_then(request, tasks, action=action, verb=attempt)

    readonly_fields = ["deliveries"]

    @admin.display(description="Webhook deliveries")
    def deliveries(self, task: Task) -> str:
        """A link, whether there are any or not."""
        return format_html('<a href="{}?q={}">Deliveries of this task</a>', reverse(DELIVERIES), task.pk)

    @admin.display(description="Attempts")
    def attempts(self, task: Task) -> str:
        """Used and allowed."""
        return f"{task.attempts_used}/{task.max_attempts}"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Task], search_term: str
    ) -> tuple[QuerySet[Task], bool]:
        """An id is looked up by the primary key; anything else is searched in titles."""
        try:
            return queryset.filter(pk=uuid.UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)


@admin.register(TaskEvent)
class TaskEventAdmin(ReadOnlyAdmin):
    """Every line of every history, newest first."""

    list_display = ["at", "what", "task", "status", "attempt", "who", "why"]
    list_filter = ["what", "at"]
    list_select_related = ["task"]
    ordering = ["-id"]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Who holds keys, and what they open. Making one is the owner's, or `manage.py create_token`."""

    list_display = ["name", "prefix", "owner", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]
    list_filter = ["created_at", "revoked_at"]
    list_select_related = ["owner"]
    search_fields = ["name__folded_contains", "prefix", "owner__username__folded_contains"]
    exclude = ["digest"]
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """For those who may change any task."""
        return request.user.has_perm("tasks_app.change_task")

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """From now on they open nothing."""
        for token in queryset:
            tokens.revoke(token)
        self.message_user(request, "Revoked.")


@admin.register(QuarantinedMessage)
class QuarantinedMessageAdmin(ReadOnlyAdmin):
    """Messages that no worker could work on, until somebody decides."""

    list_display = ["received_at", "state", "reason", "queue", "size", "text", "decided_by"]
    list_filter = ["state", "received_at"]
    ordering = ["-id"]
    fields = [
        "state", "received_at", "reason", "queue", "routing_key", "size", "content_type", "content_encoding", "headers",
        "text", "tasks", "decided_at", "decided_by", "decided_why",
    ]  # fmt: skip
    readonly_fields = ["text"]
    actions = ["release", "discard"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For those who may change any task."""
        return request.user.has_perm("tasks_app.change_task")

    @admin.action(description="Release: send them to their queue again", permissions=["operate"])
    def release(self, request: HttpRequest, queryset: QuerySet[QuarantinedMessage]) -> HttpResponse | None:
        """As they were; what is still not readable comes back."""
        return self._decide(request, queryset, "release", quarantine.release)

    @admin.action(description="Discard", permissions=["operate"])
    def discard(self, request: HttpRequest, queryset: QuerySet[QuarantinedMessage]) -> HttpResponse | None:
        """They are kept for a month to look at, and raise no alert."""
        return self._decide(request, queryset, "discard", quarantine.discard)

    def _decide(
        self, request: HttpRequest, messages: QuerySet[QuarantinedMessage], action: str, decide: Callable[..., object]
    ) -> HttpResponse | None:
        def attempt(message: QuarantinedMessage, who: str, why: str) -> str:
            try:
                decide(message.pk, who=who, why=why)
            except TaskError as error:
                return error.message
            except broker.ERRORS as error:
                return f"The broker did not take it: {error}"
            return ""

        return self.ask_why_then(request, messages, action=action, verb=attempt)

    @admin.display(description="Body")
    def text(self, message: QuarantinedMessage) -> str:
        """Its beginning, as far as it is text."""
        return bytes(message.body[:2000]).decode("utf-8", "backslashreplace").replace("\0", "\\0")
