"""Webhooks in numbers for Prometheus: gauges read from the database when they are asked for, so that any process may answer.

No label names a receiver: addresses hold secrets, and each would be a series of its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from notifications import deliveries, statistics
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from tasks_app import clock

CONTENT_TYPE = CONTENT_TYPE_LATEST
WINDOW = timedelta(minutes=5)
MOST_LATENCIES = 10_000
QUANTILES = (0.5, 0.95)
OUTCOMES = (
    "success", "status_1xx", "status_3xx", "status_4xx", "status_5xx", "dns", "connect", "tls", "timeout", "reset", "interim",
    "blocked", "invalid_url", "too_large", "interrupted", "other",
)  # fmt: skip
PREFIX = "taskmanager_webhook_"
Status = Delivery.Status


class WebhookCollector(Collector):
    """Nine families, from six queries."""

    def __init__(self, *, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _labelled("attempts", "Requests that ended in the last 5 minutes", "outcome", _outcomes(self.now))
        yield _labelled(
            "latency_seconds", "From the event to the receiver's 2xx, of what was taken in the last 5 minutes",
            "quantile", _latencies(self.now),
        )  # fmt: skip
        late = deliveries.due(self.now).aggregate(count=Count("pk"), oldest=Min("next_attempt_at"))
        age = max(0.0, (self.now - late["oldest"]).total_seconds()) if late["oldest"] else 0.0
        yield _gauge("due", "Deliveries whose time has come", late["count"])
        yield _gauge("due_oldest_seconds", "How long the oldest of them is due", age)
        in_flight = Delivery.objects.filter(status=Status.SENDING).count()
        yield _gauge("in_flight", "Deliveries that are being sent", in_flight)
        kept = Delivery.objects.filter(status__in=[Status.HELD, Status.BLOCKED], endpoint__deleted_at=None)
        counts = dict(kept.order_by().values_list("status").annotate(Count("pk")))
        yield _gauge("held", "Deliveries held back: paused or disabled endpoints", counts.get(Status.HELD, 0))
        yield _gauge("blocked", "Deliveries whose address was refused", counts.get(Status.BLOCKED, 0))
        breakers, disabled = _endpoints(self.now)
        yield _labelled("breakers", "Endpoints by the state of their breaker", "state", breakers)
        yield _gauge("endpoints_disabled", "Endpoints that are told of nothing until somebody enables them", disabled)


def exposition(*, now: datetime | None = None) -> bytes:
    """All of it, as Prometheus reads it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WebhookCollector(now=now or clock.now()))
    return generate_latest(registry)


def _outcomes(now: datetime) -> list[tuple[str, float]]:
    found: Counter[str] = Counter()
    rows = _ended(now).order_by().values_list("status_code", "error_code").annotate(Count("pk"))
    for status, error, count in rows:
        found[outcome(status, error)] += count
    return [(name, found[name]) for name in OUTCOMES]


def outcome(status: int | None, error: str) -> str:
    """An attempt's end in one word. A status that came counts before what went wrong with the body after it."""
    by_status = "success" if status and 200 <= status < 300 else f"status_{(status or 0) // 100}xx"
    name = error if status is None else by_status
    return name if name in OUTCOMES else "other"


def _latencies(now: datetime) -> list[tuple[str, float]]:
    """Empty where nothing was taken. What somebody sent again is left out: its event may be weeks old."""
    taken = _ended(now).filter(
        status_code__gte=200, status_code__lt=300, trigger="auto", delivery__attempts_uncounted=0
    )
    rows = taken.order_by().values_list("finished_at", "delivery__created_at")[:MOST_LATENCIES]
    seconds = sorted(max(0.0, (ended - made).total_seconds()) for ended, made in rows if ended)
    found = [(str(share), statistics.quantile(seconds, share)) for share in QUANTILES]
    return [(name, value) for name, value in found if value is not None]


def _ended(now: datetime) -> QuerySet[DeliveryAttempt]:
    # By way of the endpoints: the index of attempts begins with theirs, and the log of a month need not be read.
    recent = DeliveryAttempt.objects.filter(endpoint__in=Endpoint.objects.values("pk"), started_at__gt=now - 2 * WINDOW)
    return recent.filter(finished_at__gt=now - WINDOW, finished_at__lte=now)


def _endpoints(now: datetime) -> tuple[list[tuple[str, float]], float]:
    """How many by `Endpoint.breaker`, callbacks and WEBHOOK_URL too; and how many are disabled."""
    tripped, waits = Q(breaker_openings__gt=0), Q(not_before__gt=now)
    found = Endpoint.objects.filter(deleted_at=None).aggregate(
        closed=Count("pk", filter=~tripped), open=Count("pk", filter=tripped & waits), tripped=Count("pk", filter=tripped),
        disabled=Count("pk", filter=Q(state=Endpoint.State.DISABLED)),
    )  # fmt: skip
    half_open = found["tripped"] - found["open"]
    return [("closed", found["closed"]), ("open", found["open"]), ("half-open", half_open)], found["disabled"]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _labelled(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[label])
    for word, value in values:
        family.add_metric([word], value)
    return family
