"""How an endpoint fares, and what follows: the breaker, waiting as it asked, disabling after days of failures.

Everything here changes a locked Endpoint row and nothing else; deliveries.py holds the lock and saves.
"""

from datetime import datetime, timedelta

from django.conf import settings

from notifications.models import DeliveryAttempt, Endpoint
from notifications.sender import Exchange, seconds_until_retry

FAILURES_IN_ROW = 10
WINDOW, WINDOW_ATTEMPTS, WINDOW_SHARE = timedelta(minutes=5), 20, 0.5
OPEN_SECONDS, LONGEST_OPEN_SECONDS = 60, 900
DOUBTFUL = 3
"""Failures in a row after which an endpoint gets one request at a time, so that a hanging one holds one thread. So does
one that has taken nothing yet."""
NOTICES = (timedelta(hours=24), timedelta(hours=72))
DISABLED_AFTER, DISABLED_ATTEMPTS = timedelta(days=5), 10
SUCCESS_NOTED = timedelta(seconds=10)
FIELDS = [
    "last_success_at", "failing_since", "failed_attempts", "failures_in_row", "breaker_openings", "not_before",
    "not_before_reason", "notices",
]  # fmt: skip


def most_in_flight(endpoint: Endpoint) -> int:
    """How many requests at a time. The operator's own receiver may have half of the notifier's threads."""
    if endpoint.breaker_openings or endpoint.failures_in_row >= DOUBTFUL or endpoint.last_success_at is None:
        return 1
    if endpoint.source == Endpoint.Source.DEFAULT:
        return max(int(settings.WEBHOOK_IN_FLIGHT), settings.NOTIFIER_CONCURRENCY // 2)
    return int(settings.WEBHOOK_IN_FLIGHT)


def is_news(endpoint: Endpoint, now: datetime) -> bool:
    """Whether a success changes anything: a healthy endpoint is not written to for each."""
    well = endpoint.failing_since is None and endpoint.not_before is None and not endpoint.failures_in_row
    return not well or endpoint.last_success_at is None or now - endpoint.last_success_at > SUCCESS_NOTED


def succeeded(endpoint: Endpoint, *, now: datetime) -> None:
    """It took one: the breaker closes, the clock of failures stops."""
    endpoint.last_success_at = now
    endpoint.failing_since, endpoint.not_before = None, None
    endpoint.failed_attempts = endpoint.failures_in_row = endpoint.breaker_openings = endpoint.notices = 0
    endpoint.not_before_reason = ""


def failed(endpoint: Endpoint, exchange: Exchange, *, now: datetime) -> None:
    """It did not take one. What the sender refused to send (`blocked`) is no fault of the receiver's."""
    endpoint.failing_since = endpoint.failing_since or now
    endpoint.failed_attempts += 1
    if counts(exchange):
        endpoint.failures_in_row += 1
        _open(endpoint, now=now)
    if exchange.status in (429, 503):
        asked = seconds_until_retry(exchange.response_headers.get("retry-after", ""), now=now)
        if asked > 0:
            _wait(
                endpoint, now + timedelta(seconds=asked), f"It asked for {asked:.0f} s (Retry-After, {exchange.status})"
            )


def counts(exchange: Exchange) -> bool:
    """Whether the breaker counts it: not what the receiver refused in so many words."""
    refused = exchange.status is not None and 400 <= exchange.status < 500
    return not refused or exchange.status in (408, 429)


def notice_due(endpoint: Endpoint, now: datetime) -> int:
    """How many notices its owner should have had: 1 after a day of failures, 2 after three, 3 once it is to be disabled."""
    if endpoint.failing_since is None or endpoint.failed_attempts < DISABLED_ATTEMPTS:
        return 0
    failing = now - endpoint.failing_since
    return sum(failing >= after for after in (*NOTICES, DISABLED_AFTER))


def _open(endpoint: Endpoint, *, now: datetime) -> None:
    if endpoint.breaker(now) == "open":
        return  # others were under way when it opened
    if endpoint.breaker_openings:
        why = "the one request to see whether it works again failed"
    elif endpoint.failures_in_row >= FAILURES_IN_ROW:
        why = f"{endpoint.failures_in_row} failures in a row"
    else:
        failures, attempts = _window(endpoint, now)
        if attempts < WINDOW_ATTEMPTS or failures < attempts * WINDOW_SHARE:
            return
        why = f"{failures} of {attempts} attempts in {WINDOW.seconds // 60} minutes failed"
    seconds = min(OPEN_SECONDS * 2**endpoint.breaker_openings, LONGEST_OPEN_SECONDS)
    endpoint.breaker_openings = min(endpoint.breaker_openings + 1, 10)
    _wait(endpoint, now + timedelta(seconds=seconds), f"The breaker is open for {seconds} s: {why}")


def _wait(endpoint: Endpoint, until: datetime, why: str) -> None:
    if endpoint.not_before is None or endpoint.not_before < until:
        endpoint.not_before, endpoint.not_before_reason = until, why


def _window(endpoint: Endpoint, now: datetime) -> tuple[int, int]:
    """Failures and attempts of the last minutes, of the newest 200."""
    rows = DeliveryAttempt.objects.filter(endpoint=endpoint, started_at__gt=now - WINDOW, finished_at__isnull=False)
    found = rows.order_by("-started_at").values_list("status_code", flat=True)[:200]
    ends = [Exchange(status=status) if status else Exchange() for status in found]
    return sum(not end.succeeded and counts(end) for end in ends), len(ends)
