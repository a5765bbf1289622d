"""Promises webhooks in the same transaction that records the fact: either both are committed, or neither."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings

from notifications import audience, payloads, statements
from notifications.models import Delivery, Endpoint, Event
from notifications.targets import Origin, TargetRefused
from tasks_app.models import Task, TaskEvent
from tasks_app.strict_json import same

Source, State = Endpoint.Source, Endpoint.State
TEST = "test"
HEAD_START = timedelta(seconds=3)
"""What no chain sends is due a little before now, so that the next sweep takes it."""


def plan(events: Sequence[TaskEvent], *, revision: uuid.UUID | None, **_: Any) -> None:
    """Receiver of `task_recorded`: writes an Event and its Deliveries for whatever somebody wants to hear."""
    told = [event for event in events if payloads.event_type(event.what)]
    if not told:
        return
    listeners = audience.at(revision)
    made = listeners.made_by({event.task.owner_id for event in told if event.task.owner_id is not None})
    keys = {id(event): _keys(event) for event in told}
    by_key = listeners.kept({key: row for found in keys.values() for key, (row, _url) in found.items()})
    planned: list[Event] = []
    deliveries: list[Delivery] = []
    for event in told:
        kind = payloads.event_type(event.what)
        receivers = [(by_key[key], url) for key, (_row, url) in keys[id(event)].items()]
        own = made.get(event.task.owner_id, ()) if event.task.owner_id else ()
        receivers += [(endpoint, endpoint.url) for endpoint in own if wants(endpoint, kind, event.task)]
        if not receivers:
            continue
        bodies = payloads.webhook_bodies(
            event,
            flat=any(endpoint.source == Source.DEFAULT for endpoint, _url in receivers),
            result=any(endpoint.include_result for endpoint, _url in receivers),
        )
        row = Event(
            type=kind,
            task_id=event.task.pk,
            owner_id=event.task.owner_id,
            sequence=event.version,
            created_at=event.at,
            **bodies,
        )
        planned.append(row)
        deliveries += [delivery_for(row, endpoint, url=url) for endpoint, url in receivers]
    statements.promise(planned, deliveries)


def promise(
    event: Event, receivers: Iterable[Endpoint], *, trigger: str = "auto", asked_by: str = ""
) -> list[Delivery]:
    """Saves an event that is of no task, and a delivery for each receiver; nothing if there is none."""
    planned = [
        delivery_for(event, endpoint, url=endpoint.url, trigger=trigger, asked_by=asked_by) for endpoint in receivers
    ]
    if planned:
        statements.promise([event], planned)
    return planned


def delivery_for(event: Event, endpoint: Endpoint, *, url: str, trigger: str = "auto", asked_by: str = "") -> Delivery:
    """A delivery, not saved yet: held where its endpoint is paused or disabled, unless it is a test."""
    at = event.created_at
    delivery = Delivery(event=event, endpoint=endpoint, url=url, created_at=at, expires_at=at + Delivery.LIFETIME,
                        next_attempt_at=at, trigger=trigger, asked_by=asked_by)  # fmt: skip
    if event.task_id is None:
        delivery.next_attempt_at = at - HEAD_START
    if endpoint.state != State.ENABLED and trigger != TEST:
        for name, value in held(endpoint).items():
            setattr(delivery, name, value)
    return delivery


def held(endpoint: Endpoint) -> dict[str, Any]:
    """The fields of a delivery that waits for its endpoint to be enabled."""
    return {"status": Delivery.Status.HELD, "next_attempt_at": None, "reason": f"The endpoint is {endpoint.state}."}


def wants(endpoint: Endpoint, event_type: str, task: Task | None = None) -> bool:
    """Whether the endpoint asked to hear of this."""
    if not _matches(event_type, endpoint.event_types):
        return False
    if task is None:
        return True
    return (
        (not endpoint.kinds or task.kind in endpoint.kinds)
        and (not endpoint.tags or not set(endpoint.tags).isdisjoint(task.tags))
        and all(name in task.metadata and same(task.metadata[name], value) for name, value in endpoint.metadata.items())
    )


def _matches(event_type: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(event_type, pattern) for pattern in patterns)


def _keys(event: TaskEvent) -> dict[str, tuple[Endpoint, str]]:
    """Of the receivers that nobody made: key → the row it is kept under, and where this event goes."""
    kind, task = payloads.event_type(event.what), event.task
    state = {"state_changed_at": event.at, "created_at": event.at, "updated_at": event.at}
    found: dict[str, tuple[Endpoint, str]] = {}
    if settings.WEBHOOK_URL and _matches(kind, settings.WEBHOOK_EVENTS):
        found["default"] = Endpoint(source=Source.DEFAULT, key="default", **state), settings.WEBHOOK_URL
    if kind in payloads.FINAL_TYPES and task.callback_url:
        origin = _origin(task.callback_url)
        key = f"callback {task.owner_id or 'nobody'} {origin}"
        row = Endpoint(source=Source.CALLBACK, key=key, owner_id=task.owner_id, url=origin, **state)
        found[key] = row, task.callback_url
    return found


def _origin(url: str) -> str:
    try:
        return str(Origin.parse(url))
    except TargetRefused:  # was checked when it came in; whatever it is now, the sender says it
        return url[:1000]


def of_task(task_id: uuid.UUID) -> Any:
    """The deliveries of one task, with what is shown of them."""
    return Delivery.objects.filter(event__task_id=task_id).select_related("event", "endpoint")
