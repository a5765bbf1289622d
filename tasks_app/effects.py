"""`on_success` functions: what a handler wants to happen together with the end of its task, or never."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks_app.models import Task, TaskStatus

if TYPE_CHECKING:
    from tasks_app.lifecycle import Outcome


def run(outcomes: "Sequence[Outcome]") -> None:
    """Calls the functions of attempts that succeeded and that nobody took away or cancelled; their rows stay locked.

    Before anything is settled, so that a function that ends or breaks the transaction has not settled half of it.
    """
    wanted = {(one.task_id, one.attempt): one.on_success for one in outcomes if one.verb == "succeed"}
    mine = Task.objects.select_for_update().filter(pk__in=[key for key, _ in wanted], status=TaskStatus.PROCESSING)
    for key in mine.filter(cancel_requested_at=None).order_by("pk").values_list("pk", "attempt"):
        for function in wanted.get(key, ()):
            function()
