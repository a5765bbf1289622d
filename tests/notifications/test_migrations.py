"""Deliveries from before there were endpoints keep their receiver."""

from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

BEFORE = [("notifications", "0003_who_asked")]


def test_old_deliveries_get_the_endpoint_they_went_to(transactional_db: None) -> None:
    executor = MigrationExecutor(connection)
    latest = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "notifications"]
    owner = User.objects.create(username="from-before")
    executor.migrate(BEFORE)
    try:
        old = executor.loader.project_state(BEFORE).apps
        made = {
            "default": "https://operator.example/hook",
            "callback": "https://hooks.example.org/a?x=1",
        }
        ids = {}
        for receiver, url in made.items():
            ids[receiver] = _delivery(old, receiver, url, owner.pk)
    finally:
        MigrationExecutor(connection).migrate(latest)
    from notifications.models import Delivery, DeliveryAttempt, Endpoint

    found = {row.pk: row for row in Delivery.objects.select_related("endpoint")}
    default, callback = (found[ids[receiver]].endpoint for receiver in made)
    assert (default.source, default.key, default.owner_id) == ("default", "default", None)
    assert (callback.source, callback.url, callback.owner_id) == ("callback", "https://hooks.example.org:443", owner.pk)
    assert callback.key == f"callback {owner.pk} https://hooks.example.org:443", "the key under which new ones are kept"
    assert {attempt.endpoint_id for attempt in DeliveryAttempt.objects.all()} == {default.pk, callback.pk}
    Endpoint.objects.all().delete()
    owner.delete()


def _delivery(apps: Any, receiver: str, url: str, owner_id: int) -> Any:
    now = timezone.now()
    event = apps.get_model("notifications", "Event").objects.create(
        type="task.completed", task_id="018f0000-0000-7000-8000-000000000000", owner_id=owner_id, sequence=1, created_at=now,
        body="{}",
    )  # fmt: skip
    delivery = apps.get_model("notifications", "Delivery").objects.create(
        event=event, receiver=receiver, url=url, status="DELIVERED", created_at=now, expires_at=now, finished_at=now
    )
    apps.get_model("notifications", "DeliveryAttempt").objects.create(delivery=delivery, number=1, started_at=now)
    return delivery.pk
