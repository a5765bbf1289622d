"""Somebody's tasks of one status, and how often owner, status and kind come together: without that PostgreSQL takes
them for independent, and looks for somebody's failed tasks at every task where they have none."""

from django.db import migrations, models

from tasks_app.migrations._operations import OnPostgreSQL


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0004_postgresql_search")]

    operations = [
        migrations.AddIndex(
            model_name="task",
            index=models.Index(fields=["owner", "status", "created_at", "id"], name="task_owner_status"),
        ),
        OnPostgreSQL(
            "CREATE STATISTICS task_together (mcv) ON owner_id, status, kind FROM tasks_app_task",
            "DROP STATISTICS task_together",
        ),
    ]
