"""What the author of a handler imports: `from tasks_app.handlers import handler, TaskContext, RetryableError`."""

from tasks_app.backoff import exponential
from tasks_app.exceptions import AttemptSuperseded, PermanentError, RetryableError
from tasks_app.handlers.base import TaskContext
from tasks_app.handlers.registry import Handler, get, handler, kinds

__all__ = [
    "AttemptSuperseded", "Handler", "PermanentError", "RetryableError", "TaskContext", "exponential", "get", "handler", "kinds",
]  # fmt: skip
