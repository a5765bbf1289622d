"""What can be wrong, as the domain says it. `api/errors.py` turns these into HTTP; the docstring is the default text."""

from typing import Any


class TaskError(Exception):
    """Something about this task request is wrong."""

    code = "task_error"

    def __init__(self, message: str = "", **data: Any) -> None:
        self.message = message or (self.__doc__ or "").strip()
        self.data = data
        super().__init__(self.message)


class InvalidTask(TaskError):
    """The task is not valid.

    `errors` maps a field's path (`title`, `payload.seconds`) to a sentence.
    """

    code = "invalid"

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{field}: {text}" for field, text in errors.items()))


class TaskNotFound(TaskError):
    """There is no such task."""

    code = "not_found"


class TransitionRefused(TaskError):
    """The task's status does not allow this."""

    code = "wrong_status"


class VersionConflict(TaskError):
    """The task was changed meanwhile: its version is no longer the one that If-Match names. Read it again."""

    code = "version_conflict"


class RetryableError(Exception):
    """A handler raises this when trying again may help; `retry_after` (seconds) overrides the kind's backoff."""

    code = "retryable"

    def __init__(self, message: str = "", *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.retry_after = retry_after


class PermanentError(Exception):
    """A handler raises this when trying again cannot help: the task is FAILED at once."""

    code = "permanent"

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.code


class LogTooLarge(PermanentError):
    """An attempt may log a limited amount of text."""

    code = "log_too_large"


class AttemptSuperseded(Exception):
    """Raised inside a handler that goes on although its attempt was taken away (cancelled, deadline, lease lost)."""
