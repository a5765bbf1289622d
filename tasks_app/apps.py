"""App configuration: loads the handlers of every installed app and the system checks."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class TasksAppConfig(AppConfig):
    name = "tasks_app"
    verbose_name = "Tasks"

    def ready(self) -> None:
        from tasks_app import access, checks, identity  # noqa: F401 - registers what runs after migrate, and checks
        from tasks_app.handlers import message  # noqa: F401 - the built-in kind

        autodiscover_modules("handlers")
