"""Webhooks as rows: who is told (Endpoint), what happened (Event), one for the other (Delivery), each request made
(DeliveryAttempt), and many sent again (Replay).

`task_id` is a plain column: a task that was deleted is still told of.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562)."""
    return uuid7()


class CurrentTransaction(models.Func):
    """The number of the transaction that writes the row: what commits late must not be skipped by readers of the feed.

    SQLite has one writer at a time, so there the order of rows is the order of commits."""

    template, arity, output_field = "0", 0, models.BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="(pg_current_xact_id()::text::bigint)", **context)


class Endpoint(models.Model):
    """A receiver of webhooks. endpoints.py changes it; health.py keeps how it fares.

    WEBHOOK_URL is one, and so are the callbacks of one owner to one origin: the same rules hold for them.
    """

    class Source(models.TextChoices):
        DEFAULT = "default", "WEBHOOK_URL"
        CALLBACK = "callback", "Callbacks of tasks"
        ENDPOINT = "endpoint", "Made by its owner"

    class State(models.TextChoices):
        ENABLED = "enabled", "Enabled"
        PAUSED = "paused", "Paused"
        DISABLED = "disabled", "Disabled"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.ENDPOINT)
    key = models.CharField(  # noqa: DJ001 - unique among those that have one
        max_length=2200, null=True, unique=True, editable=False, help_text="Of those nobody made"
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    url = models.CharField(max_length=2048, blank=True, help_text="Of callbacks the origin; of WEBHOOK_URL empty")
    description = models.CharField(max_length=255, blank=True, default="")
    # What it wants to hear
    event_types = models.JSONField(default=list, help_text="Patterns such as task.*")
    kinds = models.JSONField(default=list, blank=True, help_text="Any of these; none: all")
    tags = models.JSONField(default=list, blank=True, help_text="Any of these; none: all")
    metadata = models.JSONField(default=dict, blank=True, help_text="All of these")
    include_result = models.BooleanField(default=False)
    # Encrypted: see sealed.py and secrets.py
    secrets = models.TextField(blank=True, default="", editable=False)
    headers = models.TextField(blank=True, default="", editable=False)
    header_names = models.JSONField(default=list, blank=True)
    # Whether it is told
    state = models.CharField(max_length=10, choices=State.choices, default=State.ENABLED)
    state_reason = models.TextField(blank=True, default="")
    state_changed_at = models.DateTimeField()
    # How it fares
    last_success_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True, help_text="The first failure after the last success")
    failed_attempts = models.PositiveIntegerField(default=0, help_text="Since then")
    failures_in_row = models.PositiveIntegerField(default=0, help_text="Of those that the breaker counts")
    breaker_openings = models.PositiveSmallIntegerField(default=0, help_text="In a row; 0: closed")
    not_before = models.DateTimeField(null=True, blank=True, help_text="Nothing is sent before")
    not_before_reason = models.TextField(blank=True, default="")
    notices = models.PositiveSmallIntegerField(default=0, help_text="How many the owner was sent about this failing")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="Its row goes once nobody can be planning for it"
    )

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["owner", "-id"], name="endpoint_owner", condition=Q(source="endpoint"))]

    def __str__(self) -> str:
        return self.url or self.get_source_display()

    def breaker(self, now: datetime) -> str:
        """`closed`, `open`, or `half-open`: one request may show whether it works again."""
        if not self.breaker_openings:
            return "closed"
        return "open" if self.not_before and self.not_before > now else "half-open"


class EndpointEvent(models.Model):
    """One line of an endpoint's history: who changed it, looked at its secret, or what it was disabled for."""

    id = models.BigAutoField(primary_key=True)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="history")
    at = models.DateTimeField()
    who = models.CharField(max_length=255, blank=True, default="")
    what = models.CharField(max_length=255)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.what


class Event(models.Model):
    """One thing that happened, mostly to a task, with the bytes that every receiver gets, frozen when it happened."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    type = models.CharField(max_length=50)
    task_id = models.UUIDField(db_index=True, null=True, blank=True)
    owner_id = models.IntegerField(null=True, blank=True)
    sequence = models.PositiveIntegerField(default=0, help_text="The task's version")
    created_at = models.DateTimeField(db_index=True)
    transaction = models.BigIntegerField(db_default=CurrentTransaction(), editable=False)
    body = models.TextField(help_text="JSON: type, timestamp, sequence, data")
    flat_body = models.TextField(blank=True, default="", help_text="The same with the task's fields at the top level")
    result_body = models.TextField(blank=True, default="", help_text="The same with the result, for who asked for it")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["owner_id", "transaction", "id"], name="event_feed")]

    def __str__(self) -> str:
        return f"{self.type} {self.task_id or ''}".strip()

    @property
    def webhook_id(self) -> str:
        """The `webhook-id` header: one per event, the same over retries and receivers."""
        return f"evt_{self.id}"


class Delivery(models.Model):
    """One event for one endpoint, until it is taken or given up. deliveries.py moves it."""

    class Status(models.TextChoices):
        PENDING = "PENDING", "Pending"
        SENDING = "SENDING", "Sending"
        DELIVERED = "DELIVERED", "Delivered"
        FAILED = "FAILED", "Failed"
        BLOCKED = "BLOCKED", "Blocked"
        HELD = "HELD", "Held"
        CANCELLED = "CANCELLED", "Cancelled"

    LIFETIME = timedelta(hours=80)
    """From the event to giving up; the retries of the schedule end before."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    event = models.ForeignKey(Event, models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="deliveries", db_index=False)
    url = models.CharField(max_length=2048, help_text="Where it goes, or went last")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempts_uncounted = models.PositiveSmallIntegerField(default=0, help_text="Made before the last replay")
    trigger = models.CharField(max_length=10, default="auto", help_text="Of the next: auto, manual, replay or test")
    asked_by = models.CharField(max_length=600, blank=True, default="", help_text="For the next attempt: who, and why")
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    woken_at = models.DateTimeField(null=True, blank=True, help_text="When the sweep last sent a message for it")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    reason = models.TextField(blank=True, default="", help_text="Why it stands where it stands, for people")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["next_attempt_at"], name="delivery_due", condition=Q(status="PENDING")),
            models.Index(fields=["lease_expires_at"], name="delivery_leased", condition=Q(status="SENDING")),
            models.Index(fields=["endpoint", "-id"], name="delivery_endpoint"),
            models.Index(fields=["endpoint", "next_attempt_at"], name="delivery_next", condition=Q(status="PENDING")),
            models.Index(fields=["endpoint"], name="delivery_in_flight", condition=Q(status="SENDING")),
            models.Index(
                fields=["endpoint", "id"], name="delivery_again", condition=Q(status__in=["HELD", "FAILED", "BLOCKED"])
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="delivery_once_per_endpoint"),
            models.CheckConstraint(
                condition=Q(status="SENDING", lease_expires_at__isnull=False)
                | Q(~Q(status="SENDING"), lease_expires_at__isnull=True),
                name="delivery_lease_only_while_sending",
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", next_attempt_at__isnull=False)
                | Q(~Q(status="PENDING"), next_attempt_at__isnull=True),
                name="delivery_next_attempt_only_while_pending",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.endpoint_id}"

    @property
    def receiver(self) -> str:
        """`default`, `callback` or `endpoint`."""
        return self.endpoint.source


class DeliveryAttempt(models.Model):
    """One request, written down before it is made, so that one that was cut off is known. Times in milliseconds."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempt_log")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="+", db_index=False)
    number = models.PositiveSmallIntegerField()
    trigger = models.CharField(max_length=10, default="auto")
    asked_by = models.CharField(max_length=600, blank=True, default="", help_text="Who sent it by hand, and why")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=20, blank=True, default="")
    error_detail = models.TextField(blank=True, default="", help_text="For staff: may name addresses")
    timings = models.JSONField(default=dict, blank=True)
    peer = models.CharField(max_length=64, blank=True, default="")
    response_headers = models.JSONField(default=dict, blank=True)
    response_excerpt = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["endpoint", "-started_at"], name="attempt_endpoint")]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_once_per_delivery"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"


class Replay(models.Model):
    """Many deliveries of one endpoint, sent again in the background at a bounded rate. replays.py moves it."""

    class Which(models.TextChoices):
        HELD = "held", "Held back"
        FAILED = "failed", "Failed or blocked"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="replays")
    which = models.JSONField(default=list, help_text="held, failed")
    since = models.DateTimeField(help_text="Deliveries made from here")
    created_at = models.DateTimeField(help_text="… to here")
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    asked_by = models.CharField(max_length=600, blank=True, default="")
    total = models.PositiveIntegerField(help_text="Counted when it began")
    sent = models.PositiveIntegerField(default=0, help_text="Set going again so far")
    reached = models.UUIDField(null=True, blank=True, help_text="The last delivery that was set going")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["endpoint"], condition=Q(state="running"), name="replay_one_at_a_time"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.state}"
