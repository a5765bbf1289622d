"""Tasks and their history. Rows change only through lifecycle.py; here live their shape and their invariants."""

import uuid
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): it sorts by time of creation, so the primary key serves newest-first pages."""
    return uuid7()


class TaskStatus(models.TextChoices):
    """Where a task stands. A retry or a later start is PENDING with `run_at` ahead."""

    PENDING = "PENDING", "Pending"
    PROCESSING = "PROCESSING", "Processing"
    DONE = "DONE", "Done"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Cancelled"


FINISHED = frozenset({TaskStatus.DONE, TaskStatus.FAILED, TaskStatus.CANCELLED})


class TaskQuerySet(models.QuerySet["Task"]):
    """Questions that several rooms ask."""

    def due(self, now: Any) -> "TaskQuerySet":
        """PENDING and allowed to start."""
        return self.filter(status=TaskStatus.PENDING, run_at__lte=now)

    def counts(self) -> dict[str, int]:
        """How many of each status; those without any are left out."""
        return dict(self.order_by().values_list("status").annotate(models.Count("pk")))


class Task(models.Model):
    """One piece of work and all that is known of it. This row is the truth; a broker message is only a wake-up.

    `attempt` only ever grows: it fences, so that a superseded attempt settles nothing. `attempts_uncounted` are those
    that do not use up `max_attempts`: handed back by a worker, or made before the task was reopened.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    title = models.CharField(max_length=255)
    description = models.TextField(blank=True, default="")
    kind = models.CharField(max_length=100)
    payload = models.JSONField(null=True, blank=True, help_text="Object for the handler; null if none was sent")
    tags = models.JSONField(default=list, blank=True, help_text="List of short texts")
    metadata = models.JSONField(default=dict, blank=True, help_text="Object that is the client's own")
    callback_url = models.CharField(max_length=2048, blank=True, default="")
    priority = models.SmallIntegerField(default=0, validators=[MinValueValidator(-100), MaxValueValidator(100)])
    max_attempts = models.PositiveSmallIntegerField()
    timeout = models.PositiveIntegerField(help_text="Seconds one attempt may take")
    rerun_of = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="reruns")

    status = models.CharField(max_length=10, choices=TaskStatus.choices, default=TaskStatus.PENDING)
    progress = models.PositiveSmallIntegerField(default=0, help_text="Percent")
    message = models.TextField(blank=True, default="")
    result = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=100, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    attempt = models.PositiveIntegerField(default=0)
    attempts_uncounted = models.PositiveIntegerField(default=0)
    solo = models.BooleanField(default=False, help_text="Travels alone, not in a batch")
    run_at = models.DateTimeField(default=timezone.now)
    published_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=255, blank=True, default="")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1, help_text="Counts changes without gaps")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["owner", "-id"], name="task_owner"),
            models.Index(fields=["run_at"], name="task_pending", condition=Q(status="PENDING")),
            models.Index(fields=["lease_expires_at"], name="task_leased", condition=Q(status="PROCESSING")),
            # The orderings and filters of the API's list, each with its tie-breaker (docs/decisions/0011).
            models.Index(fields=["created_at", "id"], name="task_created"),
            models.Index(fields=["owner", "created_at", "id"], name="task_owner_created"),
            models.Index(fields=["owner", "status", "created_at", "id"], name="task_owner_status"),
            models.Index(fields=["status", "created_at", "id"], name="task_status"),
            models.Index(fields=["kind", "created_at", "id"], name="task_kind"),
            models.Index(fields=["finished_at", "id"], name="task_finished", condition=Q(finished_at__isnull=False)),
            models.Index(fields=["priority", "created_at", "id"], name="task_waiting", condition=Q(status="PENDING")),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=TaskStatus.values), name="task_status_known"),
            models.CheckConstraint(condition=Q(progress__lte=100), name="task_progress_percent"),
            models.CheckConstraint(condition=Q(attempts_uncounted__lte=F("attempt")), name="task_attempts_counted"),
            models.CheckConstraint(
                condition=Q(status="PROCESSING", lease_expires_at__isnull=False)
                | Q(~Q(status="PROCESSING"), lease_expires_at__isnull=True),
                name="task_lease_only_while_processing",
            ),
            models.CheckConstraint(
                condition=Q(status__in=FINISHED, finished_at__isnull=False)
                | Q(~Q(status__in=FINISHED), finished_at__isnull=True),
                name="task_finished_at_only_when_finished",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def done(self) -> bool:
        """What the to-do clients read."""
        return self.status == TaskStatus.DONE

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def attempts_used(self) -> int:
        """Attempts that count against `max_attempts`, the running one included."""
        return self.attempt - self.attempts_uncounted

    @property
    def attempts_left(self) -> int:
        return max(0, self.max_attempts - self.attempts_used)


class TaskEvent(models.Model):
    """One line of a task's history; never changed. `id` is the cursor that live clients resume from."""

    class What(models.TextChoices):
        SUBMITTED = "submitted", "Submitted"
        STARTED = "started", "Started"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        RETRYING = "retrying", "Waiting for a retry"
        RELEASED = "released", "Handed back"
        RECLAIMED = "reclaimed", "Taken back from a lost worker"
        COMPLETED = "completed", "Completed by hand"
        CANCEL_REQUESTED = "cancel_requested", "Cancellation requested"
        STOPPING = "stopping", "Asked to stop"
        CANCELLED = "cancelled", "Cancelled"
        REOPENED = "reopened", "Reopened"
        UPDATED = "updated", "Updated"
        DELETED = "deleted", "Deleted"
        LOG = "log", "Log"

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey(Task, models.CASCADE, related_name="events")
    what = models.CharField(max_length=20, choices=What.choices)
    at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=TaskStatus.choices, help_text="Status after the event")
    attempt = models.PositiveIntegerField(null=True, blank=True, help_text="Null where no attempt was under way")
    version = models.PositiveIntegerField(help_text="The task's version after the event")
    who = models.CharField(max_length=255, blank=True, default="")
    why = models.TextField(blank=True, default="", help_text="Message or reason, for people")
    data = models.JSONField(default=dict, blank=True)
    is_terminal = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["task", "id"], name="event_task")]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "attempt"], condition=Q(is_terminal=True), name="event_one_end_per_attempt"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.what} {self.task_id}"


class Audience(models.Model):
    """One row, whose `revision` is another after every change of who is to be notified of what.

    Whoever records events reads it in the same statement, so that what it remembers of the listeners is used only as
    long as it is true: a listener that was committed before is never missed.
    """

    revision = models.UUIDField()

    class Meta:
        verbose_name_plural = "audience"

    def __str__(self) -> str:
        return str(self.revision)


class Watch(models.Model):
    """Whether somebody is told of a task's changes on the pages they have open. Without a row owners are, others not.

    In the database and not in the session: the built-in user has no login, and the sockets of another process ask."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    task = models.ForeignKey(Task, models.CASCADE, related_name="+")
    is_on = models.BooleanField()

    class Meta:
        verbose_name_plural = "watches"
        constraints = [models.UniqueConstraint(fields=["user", "task"], name="watch_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {'watches' if self.is_on else 'ignores'} {self.task_id}"


class ApiToken(models.Model):
    """A key for programs. The text itself is shown once and not kept; `prefix` tells people which one it is."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the text, in hexadecimal")
    scopes = models.JSONField(default=list, help_text="What it may do, as far as its owner may")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute")

    class Meta:
        ordering = ["-id"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotencyKey(models.Model):
    """A POST that was done, and its answer, so that the same one again changes nothing. idempotency.py writes it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=255)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the body that came with it, in hexadecimal")
    status = models.PositiveSmallIntegerField(null=True, help_text="Of the answer; null only inside the transaction")
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"", help_text="Encrypted where the answer holds a secret")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "method", "path", "key"], name="idempotency_key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"


class QuarantinedMessage(models.Model):
    """A message that no worker could work on, as it came from `tasks_failed`. quarantine.py writes it."""

    class State(models.TextChoices):
        HELD = "HELD", "Held"
        RELEASED = "RELEASED", "Released"
        DISCARDED = "DISCARDED", "Discarded"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.HELD)
    received_at = models.DateTimeField(default=timezone.now)
    queue = models.CharField(max_length=255, blank=True, help_text="Where it was before it died; empty if nobody says")
    reason = models.CharField(max_length=255, help_text="Why it came here, in words")
    routing_key = models.CharField(max_length=255, blank=True)
    content_type = models.CharField(max_length=255, blank=True)
    content_encoding = models.CharField(max_length=255, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    body = models.BinaryField(help_text="The bytes, up to quarantine.MOST_BYTES of them")
    size = models.PositiveBigIntegerField(help_text="Bytes of the whole body")
    tasks = models.JSONField(default=dict, blank=True, help_text="Tasks that it names, with their status at that time")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=255, blank=True)
    decided_why = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["state", "-id"], name="quarantine_state")]

    def __str__(self) -> str:
        return f"{self.queue or 'message'}: {self.reason}"


class Heartbeat(models.Model):
    """The last sign of something that runs on a timer, for whoever asks whether it still does."""

    name = models.CharField(primary_key=True, max_length=100)
    at = models.DateTimeField()
    by = models.CharField(max_length=255, help_text="Host and process id")

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """Work that one process at a time does, by whoever it is until then."""

    name = models.CharField(primary_key=True, max_length=100)
    holder = models.CharField(max_length=100)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
