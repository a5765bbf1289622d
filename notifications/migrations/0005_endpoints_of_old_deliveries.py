"""Deliveries made before there were endpoints get theirs: WEBHOOK_URL, or the callbacks of one owner to one origin."""

from typing import Any
from urllib.parse import urlsplit

from django.db import migrations
from django.utils import timezone


def forwards(apps: Any, schema_editor: Any) -> None:
    Delivery = apps.get_model("notifications", "Delivery")
    Attempt = apps.get_model("notifications", "DeliveryAttempt")
    Endpoint = apps.get_model("notifications", "Endpoint")
    User = apps.get_model("auth", "User")
    now = timezone.now()
    times = {"state_changed_at": now, "created_at": now, "updated_at": now}
    known: dict[str, Any] = {}
    for delivery in Delivery.objects.filter(endpoint=None).select_related("event").iterator():
        if delivery.receiver == "default":
            key, fields = "default", {"source": "default"}
        else:
            owner_id = delivery.event.owner_id
            if not User.objects.filter(pk=owner_id).exists():
                owner_id = None
            parts = urlsplit(delivery.url)
            port = parts.port or {"http": 80}.get(parts.scheme, 443)
            origin = f"{parts.scheme}://{parts.hostname}:{port}"
            key = f"callback {owner_id or 'nobody'} {origin}"
            fields = {"source": "callback", "owner_id": owner_id, "url": origin}
        if key not in known:
            known[key], _made = Endpoint.objects.get_or_create(key=key, defaults={**fields, **times})
        Delivery.objects.filter(pk=delivery.pk).update(endpoint=known[key])
        Attempt.objects.filter(delivery_id=delivery.pk).update(endpoint=known[key])


class Migration(migrations.Migration):
    dependencies = [("notifications", "0004_endpoints"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
