"""App configuration: connects the receivers of the domain's two announcements."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from notifications import checks, receivers, sender  # noqa: F401 - registers checks and receivers

        sender.self_check()
        checks.refuse_errors()
