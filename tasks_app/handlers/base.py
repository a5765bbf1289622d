"""What a handler sees of its task: a context, never a model."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks_app.exceptions import AttemptSuperseded, LogTooLarge

MAX_LOG_CHARACTERS = 262_144
"""Of one attempt, in all."""
MAX_MESSAGE_CHARACTERS = 2_000


@dataclass
class Report:
    """What a handler said of its progress since it was last written down."""

    progress: int = 0
    message: str = ""
    logs: list[str] = field(default_factory=list)
    changed: bool = False


class TaskContext:
    """Handed to the handler as its second argument. Methods may be called from any thread of the handler's.

    Attributes: `task_id`; `attempt`, the number of this try (1, 2, …), never the same twice for one task, so that
    `task_id` with `attempt` names one try and `task_id` alone makes outside effects idempotent; `payload_given`, false
    where the request had no payload at all.
    """

    def __init__(
        self, *, task_id: uuid.UUID, attempt: int, payload_given: bool, flush: Callable[["TaskContext"], None]
    ) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.payload_given = payload_given
        self.stop_reason = ""
        self.noticed_stop = False
        self.on_success_functions: list[Callable[[], None]] = []
        self._flush = flush
        self._lock = threading.Lock()
        self._report = Report()
        self._logged = 0

    def progress(self, percent: float, message: str = "") -> None:
        """Says how far the work is, 0 to 100, with a line for people. Written down and shown at most twice a second.

        Raises AttemptSuperseded when the attempt was taken away: nothing it does counts any more.
        """
        with self._lock:
            self._report.progress = max(0, min(100, int(percent)))
            self._report.message = storable(str(message)[:MAX_MESSAGE_CHARACTERS])
            self._report.changed = True
        self._flush(self)

    def log(self, text: str) -> None:
        """Adds a line to the task's history. Raises LogTooLarge past 256 Ki characters in one attempt."""
        line = storable(str(text))
        with self._lock:
            self._logged += len(line) + 1  # its end counts too, or empty lines would never come to one
            if self._logged > MAX_LOG_CHARACTERS:
                raise LogTooLarge(f"The attempt logged over {MAX_LOG_CHARACTERS} characters.")
            self._report.logs.append(line)
            self._report.changed = True
        self._flush(self)

    @property
    def cancelled(self) -> bool:
        """True once the attempt should stop: it was cancelled, its time or its lease is over, or the worker is to end.

        A handler that saw this and returns has stopped halfway: its result is not taken for the end of the work.
        """
        if self.stop_reason:
            self.noticed_stop = True
        return self.noticed_stop

    def check(self) -> None:
        """Raises AttemptSuperseded if the attempt should stop: a way out of deep loops."""
        if self.stop_reason:
            raise AttemptSuperseded(self.stop_reason)

    def on_success(self, function: Callable[[], None]) -> None:
        """Runs `function` inside the transaction that makes the task DONE, or never: database effects exactly once."""
        self.on_success_functions.append(function)

    def take_report(self) -> Report:
        """Hands over what is not written down yet (for the runner)."""
        with self._lock:
            taken = self._report
            self._report = Report(progress=taken.progress, message=taken.message)
            return taken


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot keep: NUL is left out, half of a surrogate pair becomes `?`."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
