"""App configuration: loads the handlers of every installed app and the system checks."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class TasksAppConfig(AppConfig):
    name = "tasks_app"
    verbose_name = "Tasks"

    def ready(self) -> None:
        from tasks_app import access, checks, identity, sqlite  # noqa: F401 - registers checks
        from tasks_app.handlers import email, message  # noqa: F401 - the built-in kinds

        # Connected here and not at import: they come after Django's own, which makes the permissions they give out.
        post_migrate.connect(identity.make_local_user, dispatch_uid="tasks_app.identity")
        post_migrate.connect(access.make_roles, dispatch_uid="tasks_app.access")
        connection_created.connect(sqlite.prepare, dispatch_uid="tasks_app.sqlite")
        autodiscover_modules("handlers")
