"""Tasks and their history for operators: read-only, since the life-cycle owns them."""

import uuid

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from tasks_app.models import Task, TaskEvent
from tasks_app.readonly import ReadOnlyAdmin, ReadOnlyInline

admin.site.site_header = admin.site.site_title = "Taskmanager"
admin.site.index_title = "Operations"


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
    search_fields = ["title"]
    search_help_text = "A task's id, or part of its title"
    ordering = ["-id"]
    inlines = [EventInline]

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
