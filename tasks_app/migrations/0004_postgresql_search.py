"""Free text and tags over a million rows. PostgreSQL only: SQLite keeps one person's tasks and reads them all.

Tags are indexed as an array, because PostgreSQL counts how often each element of an array occurs, and of jsonb it does
not: without that it takes a tag on every third task for a rare one and sorts 300,000 rows.
"""

from typing import Any

from django.db import migrations
from django.db.utils import DatabaseError

from tasks_app.migrations._operations import OnPostgreSQL

NO_TRIGRAMS = (
    "The PostgreSQL extension pg_trgm, which searches texts, is not there and cannot be made by this role: {} "
    "It is part of PostgreSQL (on Debian: postgresql-contrib). Let an administrator run this in the database, then "
    "migrate again: CREATE EXTENSION pg_trgm;"
)


def make_trigrams(apps: Any, schema_editor: Any) -> None:
    """A trusted extension since PostgreSQL 13: who may create in the database may make it."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
        if cursor.fetchone():
            return
        try:
            cursor.execute("CREATE EXTENSION pg_trgm")
        except DatabaseError as error:
            raise DatabaseError(NO_TRIGRAMS.format(str(error).strip().split("\n")[0])) from error


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0003_lists_and_idempotency")]

    operations = [
        migrations.RunPython(make_trigrams, migrations.RunPython.noop),
        OnPostgreSQL(
            """
            CREATE FUNCTION tasks_app_tags(tags jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
                SELECT CASE WHEN jsonb_typeof(tags) = 'array'
                    THEN ARRAY(SELECT jsonb_array_elements_text(tags)) ELSE '{}'::text[] END
            $$
            """,
            "DROP FUNCTION tasks_app_tags(jsonb)",
        ),
        OnPostgreSQL(
            "CREATE INDEX task_tags ON tasks_app_task USING gin (tasks_app_tags(tags))",
            "DROP INDEX task_tags",
        ),
        OnPostgreSQL(
            "CREATE INDEX task_text ON tasks_app_task "
            "USING gin (upper(title || ' ' || description) gin_trgm_ops)",
            "DROP INDEX task_text",
        ),
    ]
