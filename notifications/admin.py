"""Webhooks for operators: read-only, since deliveries.py owns them."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from notifications import deliveries
from notifications.models import Delivery, DeliveryAttempt, Event
from tasks_app.readonly import ReadOnlyAdmin, ReadOnlyInline


class AttemptInline(ReadOnlyInline):
    """The requests made, under their delivery."""

    model = DeliveryAttempt
    fields = readonly_fields = (
        "number",
        "trigger",
        "asked_by",
        "started_at",
        "status_code",
        "error_code",
        "error_detail",
        "timings",
        "peer",
        "response_excerpt",
    )


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """One event for one receiver, and where it stands and why."""

    list_display = ["created_at", "event_type", "task", "endpoint", "status", "attempts", "next_attempt_at", "reason"]
    list_filter = ["status", "endpoint__source", "created_at"]
    list_select_related = ["event", "endpoint"]
    search_fields = ["event__task_id"]
    search_help_text = "A task's id"
    inlines = [AttemptInline]
    actions = ["send_again"]

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """For those who may change any task."""
        return request.user.has_perm("tasks_app.change_task")

    @admin.action(description="Send again", permissions=["replay"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse | None:
        """From the start of the schedule."""

        def replay(delivery: Delivery, who: str, why: str) -> str:
            return "" if deliveries.replay(delivery.pk, who=who, why=why) else "It is being sent right now."

        return self.ask_why_then(request, queryset, action="send_again", verb=replay)

    @admin.display(description="Event", ordering="event__type")
    def event_type(self, delivery: Delivery) -> str:
        """`task.completed` and its like."""
        return delivery.event.type

    @admin.display(description="Task")
    def task(self, delivery: Delivery) -> str:
        """A link by the task's id; the task may be gone."""
        url = reverse("admin:tasks_app_task_change", args=[delivery.event.task_id])
        return format_html('<a href="{}">{}</a>', url, delivery.event.task_id)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """What happened, with the bytes that receivers get."""

    list_display = ["created_at", "type", "task_id", "sequence"]
    list_filter = ["type", "created_at"]
