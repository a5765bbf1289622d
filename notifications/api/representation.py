"""Webhooks as clients read them. Never a secret, never the value of a header."""

import json
from typing import Any, TypedDict

from notifications import access, statistics
from notifications.models import Delivery, DeliveryAttempt, Endpoint, EndpointEvent, Event, Replay
from tasks_app.access import Access
from tasks_app.api.representation import maybe_moment, moment


class DeliveryJSON(TypedDict):
    """Times are ISO 8601 in UTC. `reason` says why it stands where it stands."""

    id: str
    event_id: str
    type: str
    task_id: str | None
    sequence: int
    receiver: str
    endpoint_id: str | None
    url: str | None
    status: str
    attempts: int
    reason: str
    created_at: str
    next_attempt_at: str | None
    expires_at: str
    finished_at: str | None


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    """All but how it fares."""
    return {
        "id": str(endpoint.pk), "url": endpoint.url, "description": endpoint.description,
        "event_types": endpoint.event_types, "kinds": endpoint.kinds, "tags": endpoint.tags,
        "metadata": endpoint.metadata, "include_result": endpoint.include_result,
        "header_names": endpoint.header_names, "state": endpoint.state, "state_reason": endpoint.state_reason,
        "state_changed_at": moment(endpoint.state_changed_at), "owner": endpoint.owner.get_username() if endpoint.owner else None,
        "last_success_at": maybe_moment(endpoint.last_success_at), "failing_since": maybe_moment(endpoint.failing_since),
        "not_before": maybe_moment(endpoint.not_before), "not_before_reason": endpoint.not_before_reason,
        "created_at": moment(endpoint.created_at), "updated_at": moment(endpoint.updated_at),
    }  # fmt: skip


def figures_json(found: statistics.Figures) -> dict[str, Any]:
    """How it fares: the last day, and what waits."""
    return {
        "attempts": found.attempts, "success_rate": found.success_rate, "p50_ms": found.p50_ms, "p95_ms": found.p95_ms,
        "waiting": found.waiting, "waiting_since": maybe_moment(found.waiting_since), "in_flight": found.in_flight,
        "held": found.held, "failed": found.failed, "next_attempt_at": maybe_moment(found.next_attempt_at),
        "breaker": found.breaker, "disabled_at": maybe_moment(found.disabled_at),
    }  # fmt: skip


def delivery_json(delivery: Delivery, who: Access) -> DeliveryJSON:
    """One delivery, its event and endpoint loaded."""
    own = delivery.endpoint.source == Endpoint.Source.ENDPOINT
    task_id = delivery.event.task_id
    return {
        "id": str(delivery.pk), "event_id": delivery.event.webhook_id, "type": delivery.event.type,
        "task_id": str(task_id) if task_id else None, "sequence": delivery.event.sequence, "receiver": delivery.receiver,
        "endpoint_id": str(delivery.endpoint_id) if own else None,
        "url": delivery.url if access.sees_url(who, delivery) else None, "status": delivery.status,
        "attempts": delivery.attempts, "reason": delivery.reason, "created_at": moment(delivery.created_at),
        "next_attempt_at": maybe_moment(delivery.next_attempt_at), "expires_at": moment(delivery.expires_at),
        "finished_at": maybe_moment(delivery.finished_at),
    }  # fmt: skip


def attempt_json(attempt: DeliveryAttempt, delivery: Delivery, who: Access) -> dict[str, Any]:
    """One request. Addresses are for staff; what a receiver said, for those who may know which one it is."""
    staff, sees_url = bool(who.user.is_staff), access.sees_url(who, delivery)
    return {
        "number": attempt.number, "trigger": attempt.trigger, "asked_by": attempt.asked_by,
        "started_at": moment(attempt.started_at), "finished_at": maybe_moment(attempt.finished_at),
        "status_code": attempt.status_code, "error_code": attempt.error_code, "timings_ms": attempt.timings,
        "response_headers": attempt.response_headers if sees_url else {},
        "response_excerpt": attempt.response_excerpt if sees_url else "",
        "error_detail": attempt.error_detail if staff else "", "peer": attempt.peer if staff else "",
    }  # fmt: skip


def replay_json(replay: Replay) -> dict[str, Any]:
    """How far it is."""
    return {
        "id": str(replay.pk), "endpoint_id": str(replay.endpoint_id), "which": replay.which,
        "since": moment(replay.since), "state": replay.state, "total": replay.total, "sent": replay.sent,
        "asked_by": replay.asked_by, "created_at": moment(replay.created_at), "finished_at": maybe_moment(replay.finished_at),
    }  # fmt: skip


def history_json(line: EndpointEvent) -> dict[str, Any]:
    """One line of an endpoint's history."""
    return {"at": moment(line.at), "who": line.who, "what": line.what}


def event_json(event: Event) -> dict[str, Any]:
    """An event as receivers get it. `body` is null once it is no longer kept."""
    return {
        "id": event.webhook_id, "type": event.type, "task_id": str(event.task_id) if event.task_id else None,
        "sequence": event.sequence, "created_at": moment(event.created_at),
        "body": json.loads(event.body) if event.body else None,
    }  # fmt: skip
