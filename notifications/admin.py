"""Webhooks for operators: read-only, since deliveries.py owns them."""

from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from notifications import deliveries, endpoints, replays
from notifications.endpoints import EndpointRefused
from notifications.models import Delivery, DeliveryAttempt, Endpoint, EndpointEvent, Event, Replay
from notifications.templatetags.task_deliveries import host
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


class EndpointEventInline(ReadOnlyInline):
    """An endpoint's history, under it."""

    model = EndpointEvent
    fields = readonly_fields = ("at", "what", "who")


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    """Who is told, and how that goes. Secrets and the values of headers are on no page here."""

    list_display = [
        "target", "source", "owner", "state", "failing_since", "failed_attempts", "not_before", "last_success_at",
        "created_at",
    ]  # fmt: skip
    list_filter = ["state", "source", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["url", "description__folded_contains", "owner__username__folded_contains"]
    fields = [
        "source", "owner", "url", "description", "event_types", "kinds", "tags", "metadata", "include_result",
        "header_names", "state", "state_reason", "state_changed_at", "last_success_at", "failing_since", "failed_attempts",
        "failures_in_row", "breaker_openings", "not_before", "not_before_reason", "notices", "deliveries", "created_at",
        "updated_at", "deleted_at",
    ]  # fmt: skip
    readonly_fields = ["deliveries"]
    inlines = [EndpointEventInline]
    actions = ["pause", "enable"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For those who may change any endpoint."""
        return request.user.has_perm("notifications.change_endpoint")

    @admin.action(description="Pause: hold its events", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Of those that people made."""
        return self._act(request, queryset, "pause", endpoints.pause)

    @admin.action(description="Enable", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """A disabled one needs a test that was taken since."""
        return self._act(request, queryset, "enable", endpoints.enable)

    def _act(
        self, request: HttpRequest, rows: QuerySet[Endpoint], action: str, verb: Callable[..., object]
    ) -> HttpResponse | None:
        def attempt(endpoint: Endpoint, who: str, why: str) -> str:
            try:
                verb(endpoint.pk, who=f"{who} ({why})" if why else who)
            except EndpointRefused as error:
                return str(error)
            except Endpoint.DoesNotExist:
                return "Nobody made this one, or it was deleted."
            return ""

        return self.ask_why_then(request, rows, action=action, verb=attempt)

    @admin.display(description="Endpoint")
    def target(self, endpoint: Endpoint) -> str:
        """Without path and query, which may hold secrets."""
        return endpoint.description or host(endpoint.url) if endpoint.url else endpoint.get_source_display()

    @admin.display(description="Deliveries")
    def deliveries(self, endpoint: Endpoint) -> str:
        """A link, whether there are any or not."""
        url = reverse("admin:notifications_delivery_changelist")
        return format_html('<a href="{}?endpoint__id__exact={}">Deliveries to it</a>', url, endpoint.pk)


@admin.register(Replay)
class ReplayAdmin(ReadOnlyAdmin):
    """Many deliveries sent again, and how far that is."""

    list_display = ["created_at", "endpoint", "state", "which", "since", "sent", "total", "asked_by", "finished_at"]
    list_filter = ["state", "created_at"]
    list_select_related = ["endpoint"]
    actions = ["cancel"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For those who may change any endpoint."""
        return request.user.has_perm("notifications.change_endpoint")

    @admin.action(description="Cancel: set no more going", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Replay]) -> HttpResponse | None:
        """What was set going already is still sent."""

        def attempt(replay: Replay, who: str, why: str) -> str:
            return "" if replays.cancel(replay.pk) else "It had ended already."

        return self.ask_why_then(request, queryset, action="cancel", verb=attempt)
