"""Whether a person is told of a task on whatever page they have open: of their own by default, of others on request."""

from tasks_app.models import Task, Watch
from tasks_app.pages.viewer import Viewer


def is_watched(viewer: Viewer, task: Task) -> bool:
    """One query."""
    said = Watch.objects.filter(user_id=viewer.user.pk, task=task).values_list("is_on", flat=True).first()
    return task.owner_id == viewer.user.pk if said is None else said


def set_watched(viewer: Viewer, task: Task, *, is_on: bool) -> None:
    """Until they say otherwise."""
    Watch.objects.update_or_create(user_id=viewer.user.pk, task=task, defaults={"is_on": is_on})
