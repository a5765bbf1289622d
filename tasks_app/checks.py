"""System checks: settings that name what is not there."""

from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.module_loading import autodiscover_modules, import_string


@register
def seams(**_: Any) -> list[CheckMessage]:
    """Every link of the pipeline is a known Celery task; every sweep and validator can be imported."""
    autodiscover_modules("tasks")
    found: list[CheckMessage] = [
        Error(f"TASK_PIPELINE names {name!r}, which is no Celery task here.", id="tasks_app.E001")
        for name in settings.TASK_PIPELINE
        if name not in current_app.tasks
    ]
    for path in [*settings.SWEEPS, *settings.TASK_VALIDATORS]:
        try:
            import_string(path)
        except ImportError as error:
            found.append(Error(f"Settings name {path!r}, which cannot be imported: {error}", id="tasks_app.E002"))
    return found


@register(deploy=True)
def anonymous(**_: Any) -> list[CheckMessage]:
    """An open API is an operator's decision; here it is said aloud."""
    if settings.ANONYMOUS_API != "on":
        return []
    text = "ANONYMOUS_API=on: whoever reaches this server may read and change the tasks of the user 'local'."
    return [Warning(text, hint="Right for a closed network only.", id="tasks_app.W001")]
