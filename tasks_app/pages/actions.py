"""What a person may do to a task now, and why not the rest."""

from dataclasses import dataclass

from tasks_app.models import Task, TaskStatus
from tasks_app.pages.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Action:
    """A verb of the task page. `refusal` is empty where it is allowed."""

    verb: str
    label: str
    refusal: str


def actions(viewer: Viewer, task: Task) -> list[Action]:
    """In the order of the page."""
    own = "" if viewer.may("change", task) else "you may see this task, but not change it"
    cancel = complete = reopen = ""
    if task.is_finished:
        cancel = f"it has ended ({task.get_status_display().lower()})"
    elif task.cancel_requested_at:
        cancel = "it is asked to stop already"
    if task.status == TaskStatus.DONE:
        complete = "it is done"
    if not task.is_finished:
        reopen = "it has not ended yet"
    rerun = "" if viewer.may_create else "that takes the role member or operator"
    delete = "" if viewer.may("delete", task) else "you may see this task, but not delete it"
    return [
        Action(verb="cancel", label="Cancel", refusal=own or cancel),
        Action(verb="complete", label="Complete", refusal=own or complete),
        Action(verb="reopen", label="Reopen", refusal=own or reopen),
        Action(verb="rerun", label="Run again", refusal=rerun),
        Action(verb="delete", label="Delete", refusal=delete),
    ]
