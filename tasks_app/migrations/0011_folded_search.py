"""Free text in any script and any case, whatever the locale of the database (docs/decisions/0022).

`upper()` follows the database's locale, which may know ASCII only. ICU's root collation knows every script; where the server
was built without it, the best of what is there is used.
"""

from typing import Any

from django.db import migrations

from tasks_app.migrations._operations import OnPostgreSQL

COLLATIONS = ("und-x-icu", "pg_unicode_fast", "pg_c_utf8", "C.UTF-8", "C.utf8", "default")
"""Whose upper() is used, the best first: ICU, PostgreSQL 18, 17, the C library, whatever the database has."""
FOLD = """
CREATE FUNCTION tasks_app_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length($1) = char_length($1) THEN upper($1 COLLATE "C") COLLATE "C"
        ELSE normalize(upper(lower($1 COLLATE "{0}") COLLATE "{0}"), NFC) COLLATE "C" END
$$
"""
FOLD_WITHOUT_UNICODE = """
CREATE FUNCTION tasks_app_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT upper($1) $$
"""


def make_fold(apps: Any, schema_editor: Any) -> None:
    """The function by which texts are compared. Its twin for SQLite is in tasks_app/sqlite.py."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT collname, getdatabaseencoding() FROM pg_collation WHERE collname = ANY(%s) "
            "AND collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding())) ORDER BY array_position(%s, collname::text)",
            [list(COLLATIONS), list(COLLATIONS)],
        )
        name, encoding = cursor.fetchone()
        cursor.execute(FOLD.format(name) if encoding == "UTF8" else FOLD_WITHOUT_UNICODE)


def drop_fold(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION tasks_app_fold(text)")


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0010_audience")]

    operations = [
        migrations.RunPython(make_fold, drop_fold),
        OnPostgreSQL(
            "DROP INDEX task_text",
            "CREATE INDEX task_text ON tasks_app_task USING gin (upper(title || ' ' || description) gin_trgm_ops)",
        ),
        OnPostgreSQL(
            "CREATE INDEX task_text ON tasks_app_task USING gin (tasks_app_fold(title || ' ' || description) gin_trgm_ops)",
            "DROP INDEX task_text",
        ),
    ]
