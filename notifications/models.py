"""Webhooks as rows: what happened (Event), whom we tell (Delivery), each request made (DeliveryAttempt).

`task_id` is a plain column: a task that was deleted is still told of.
"""

import uuid

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562)."""
    return uuid7()


class Event(models.Model):
    """One thing that happened to one task, with the bytes that every receiver gets, frozen when it happened."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    type = models.CharField(max_length=50)
    task_id = models.UUIDField(db_index=True)
    owner_id = models.IntegerField(null=True, blank=True)
    sequence = models.PositiveIntegerField(help_text="The task's version")
    created_at = models.DateTimeField(db_index=True)
    body = models.TextField(help_text="JSON: type, timestamp, sequence, data")
    flat_body = models.TextField(blank=True, default="", help_text="The same with the task's fields at the top level")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.type} {self.task_id}"

    @property
    def webhook_id(self) -> str:
        """The `webhook-id` header: one per event, the same over retries and receivers."""
        return f"evt_{self.id}"


class Delivery(models.Model):
    """One event for one receiver, until it is taken or given up. deliveries.py moves it."""

    class Receiver(models.TextChoices):
        DEFAULT = "default", "WEBHOOK_URL"
        CALLBACK = "callback", "The task's callback"

    class Status(models.TextChoices):
        PENDING = "PENDING", "Pending"
        SENDING = "SENDING", "Sending"
        DELIVERED = "DELIVERED", "Delivered"
        FAILED = "FAILED", "Failed"
        BLOCKED = "BLOCKED", "Blocked"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    event = models.ForeignKey(Event, models.CASCADE, related_name="deliveries")
    receiver = models.CharField(max_length=10, choices=Receiver.choices)
    url = models.CharField(max_length=2048)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempts_uncounted = models.PositiveSmallIntegerField(default=0, help_text="Made before the last replay")
    trigger = models.CharField(max_length=10, default="auto", help_text="Of the next attempt: auto or manual")
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
        ]
        constraints = [
            models.UniqueConstraint(fields=["event", "receiver"], name="delivery_once_per_receiver"),
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
        return f"{self.event_id} → {self.receiver}"


class DeliveryAttempt(models.Model):
    """One request, written down before it is made, so that one that was cut off is known. Times in milliseconds."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempt_log")
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
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_once_per_delivery"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"
