"""Why a waiting task waits, in sentences. Costs the same however long the queue is."""

from datetime import datetime, timedelta

from tasks_app import clock
from tasks_app.models import Task, TaskStatus
from tasks_app.system import probe

MOST_AHEAD = 1000
MOST_REASON = 300


def reasons(task: Task, *, now: datetime | None = None) -> list[str]:
    """Nothing for a task that does not wait."""
    now = now or clock.now()
    if task.status != TaskStatus.PENDING:
        return []
    if task.run_at > now:
        return [_later(task, now)]
    found = []
    queue = probe.queue()
    if queue.is_away:
        found.append("The broker does not answer. The task is kept and goes out as soon as the broker is back.")
    elif task.published_at is None:
        found.append("It is not handed to the broker yet; that is done within a few seconds.")
    elif queue.workers == 0:
        found.append("No live worker listens. It begins when one is started.")
    ahead = Task.objects.due(now).filter(run_at__lt=task.run_at).order_by("run_at")[:MOST_AHEAD].count()
    if ahead:
        number = (
            "At least 1,000 tasks are" if ahead == MOST_AHEAD else "1 task is" if ahead == 1 else f"{ahead} tasks are"
        )
        found.append(f"{number} ahead of it.")
    if queue.messages:
        found.append(f"The queue holds {queue.messages:,} message{'s' if queue.messages > 1 else ''}.")
    if task.error_message:
        found.append(f"The last attempt failed: {task.error_message[:MOST_REASON]}")
    return found or ["It is next: a worker takes it in a moment."]


def _later(task: Task, now: datetime) -> str:
    moment = f"{task.run_at:%H:%M:%S}"
    if task.run_at - now > timedelta(hours=20):
        moment = f"{task.run_at:%Y-%m-%d %H:%M}"
    moment += " UTC"
    if task.attempts_used and task.error_message:
        return f"Retry at {moment} because the last attempt failed: {task.error_message[:MOST_REASON]}"
    if task.attempts_used:
        return f"It is tried again at {moment}."
    return f"Its start lies ahead: {moment}, as asked for."
