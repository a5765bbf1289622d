import uuid

from django.db import migrations, models


def begin(apps, schema_editor):
    apps.get_model("tasks_app", "Audience").objects.create(revision=uuid.uuid4())


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0009_leases")]

    operations = [
        migrations.CreateModel(
            name="Audience",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.UUIDField()),
            ],
            options={"verbose_name_plural": "audience"},
        ),
        migrations.RunPython(begin, migrations.RunPython.noop),
    ]
