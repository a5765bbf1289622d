"""Values in payloads over a million rows, by containment (`@>`). PostgreSQL only; search.py asks with this expression."""

from django.db import migrations

from tasks_app.migrations._operations import OnPostgreSQL


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0006_quarantine_and_heartbeat")]

    operations = [
        OnPostgreSQL(
            "CREATE INDEX task_payload ON tasks_app_task USING gin (payload jsonb_path_ops)",
            "DROP INDEX task_payload",
        ),
    ]
