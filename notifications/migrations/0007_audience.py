"""Triggers: a change of an endpoint that changes who is notified gives the audience another revision."""

from django.db import migrations

COLUMNS = (
    "source, key, owner_id, url, event_types, kinds, tags, metadata, include_result, state, deleted_at"
)
POSTGRESQL = [
    """
CREATE FUNCTION notifications_audience_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks_app_audience SET revision = gen_random_uuid();
    RETURN NULL;
END $$""",
    f"""
CREATE TRIGGER notifications_audience_update AFTER UPDATE OF {COLUMNS} ON notifications_endpoint
FOR EACH ROW EXECUTE FUNCTION notifications_audience_changed()""",
    """
CREATE TRIGGER notifications_audience_insert AFTER INSERT ON notifications_endpoint
FOR EACH ROW EXECUTE FUNCTION notifications_audience_changed()""",
    """
CREATE TRIGGER notifications_audience_delete AFTER DELETE ON notifications_endpoint
FOR EACH ROW EXECUTE FUNCTION notifications_audience_changed()""",
]
POSTGRESQL_BACK = [
    "DROP TRIGGER notifications_audience_update ON notifications_endpoint",
    "DROP TRIGGER notifications_audience_insert ON notifications_endpoint",
    "DROP TRIGGER notifications_audience_delete ON notifications_endpoint",
    "DROP FUNCTION notifications_audience_changed()",
]
CHANGE = "BEGIN UPDATE tasks_app_audience SET revision = lower(hex(randomblob(16))); END"
SQLITE = [
    f"CREATE TRIGGER notifications_audience_update AFTER UPDATE OF {COLUMNS} ON notifications_endpoint {CHANGE}",
    f"CREATE TRIGGER notifications_audience_insert AFTER INSERT ON notifications_endpoint {CHANGE}",
    f"CREATE TRIGGER notifications_audience_delete AFTER DELETE ON notifications_endpoint {CHANGE}",
]
SQLITE_BACK = [
    "DROP TRIGGER notifications_audience_update",
    "DROP TRIGGER notifications_audience_insert",
    "DROP TRIGGER notifications_audience_delete",
]


def forwards(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def backwards(apps, schema_editor):
    for statement in POSTGRESQL_BACK if schema_editor.connection.vendor == "postgresql" else SQLITE_BACK:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0006_endpoints_always"), ("tasks_app", "0010_audience")]

    operations = [migrations.RunPython(forwards, backwards)]
