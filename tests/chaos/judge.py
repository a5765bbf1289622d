"""Whether anything was lost: read from the database, from what the receiver took and from the logs, never from the API."""

import re
import time
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.chaos.load import Load
from tests.chaos.stage import LEASE_SECONDS, Stage
from tests.services.processes import PATIENCE

WITHIN_SECONDS = LEASE_SECONDS + 15
"""After the fault is over, everything that was accepted before should have ended; later is slow, and not yet lost."""
GIVEN_UP_SECONDS = 2 * PATIENCE
"""Whatever has not ended, or been delivered, so long after the fault is lost."""
SAID_OFTEN = 20
"""In each minute of a case."""
FATES = {
    "short": {"DONE"}, "later": {"DONE"}, "retry": {"DONE"}, "long": {"DONE"}, "bad": {"FAILED"}, "hopeless": {"FAILED"},
    "poison": {"FAILED"}, "cancelled": {"DONE", "CANCELLED"},
}  # fmt: skip
"""Sort of an order → the statuses in which its task may end, whatever broke meanwhile."""


@dataclass(kw_only=True)
class Verdict:
    """One line of the table. A case holds if there are no problems."""

    case: str
    accepted: int = 0
    terminal: int = 0
    lost: int = 0
    settled_twice: int = 0
    webhooks_missing: int = 0
    seconds: float = 0.0
    """From the end of the fault until all had ended that was accepted before."""
    webhooks_seconds: float = 0.0
    """From the end of the last task until the receiver had taken every webhook."""
    slow: list[str] = field(default_factory=list)
    """What took longer than it should on a machine with nothing else to do: reported, and no problem."""
    problems: list[str] = field(default_factory=list)


class Logs:
    """What the processes print from now on."""

    def __init__(self, stage: Stage) -> None:
        self._sizes = {process.log: _size(process.log) for process in stage.processes}
        self._since = time.monotonic()

    def said_often(self) -> list[str]:
        """Complaints that one process made over SAID_OFTEN times: numbers do not make other words of them, ids do."""
        found: list[str] = []
        limit = SAID_OFTEN * max(1.0, (time.monotonic() - self._since) / 60)
        for log, size in self._sizes.items():
            lines = log.read_bytes()[size:].decode(errors="replace").splitlines() if log.exists() else []
            complaints = Counter(_words(line) for line in lines if _COMPLAINT.search(line))
            found += [f"{log.stem} said {count} times: {words[:160]}" for words, count in complaints.items()
                      if count > limit]  # fmt: skip
        return found


_COMPLAINT = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^\w+(\.\w+)*(Error|Exception)\b")
_HEAD = re.compile(r"^[\[\d][^a-zA-Z]*|\[[^\]]*\]")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def _words(line: str) -> str:
    head = _HEAD.sub("", line)
    return head if _ID.search(head) else re.sub(r"\d+", "#", head)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def unfinished(stage: Stage) -> set[uuid.UUID]:
    return {uuid.UUID(str(row[0])) for row in stage.rows(
        "SELECT id FROM tasks_app_task WHERE status IN ('PENDING', 'PROCESSING')")}  # fmt: skip


def judge(case: str, stage: Stage, load: Load, *, logs: Logs, before: set[uuid.UUID], over: float,
          within: float = WITHIN_SECONDS) -> Verdict:  # fmt: skip
    """Waits for the end of everything after the fault was over (`over`, monotonic), then looks.

    `before` was accepted when the fault was over: the time that it took to end is the time of the recovery.
    """
    verdict = Verdict(case=case, accepted=len(load.accepted))
    last = time.monotonic() + GIVEN_UP_SECONDS
    recovered = 0.0
    while True:
        now, waiting = time.monotonic(), unfinished(stage)
        if not recovered and not waiting & before:
            recovered = now - over
        if not waiting or now > last:
            break
        time.sleep(0.25)
    verdict.seconds = recovered or now - over
    if verdict.seconds > within:
        verdict.slow.append(f"recovery took {verdict.seconds:.0f} s, more than {within:g}")
    verdict.webhooks_seconds = _wait_for_webhooks(stage, load)
    _judge_tasks(verdict, stage, load)
    missing = _missing(stage, load)
    verdict.webhooks_missing = len(missing)
    if missing:
        verdict.problems.append(f"webhooks missing: {_some(missing)}; {_deliveries(stage)}")
    verdict.problems += logs.said_often()
    _judge_health(verdict, stage)
    return verdict


def _judge_tasks(verdict: Verdict, stage: Stage, load: Load) -> None:
    rows = stage.rows(
        "SELECT id, status, error_code, run_at, started_at, attempt, attempts_uncounted FROM tasks_app_task"
    )
    found = {uuid.UUID(str(row[0])): row[1:] for row in rows}
    ended = {
        task_id for task_id in load.accepted if task_id in found and found[task_id][0] not in ("PENDING", "PROCESSING")
    }
    lost = load.accepted.keys() - ended
    verdict.terminal, verdict.lost = len(ended), len(lost)
    if lost:
        verdict.problems.append(
            f"lost: {_some({(str(one), load.accepted[one], *found.get(one, ('gone',))) for one in lost})}"
        )
    if strangers := unfinished(stage) - lost:
        verdict.problems.append(f"{len(strangers)} tasks whose POST was not answered 201 have not ended")
    twice = stage.rows(
        "SELECT task_id, count(*) FROM tasks_app_taskevent WHERE is_terminal GROUP BY task_id HAVING count(*) > 1"
    )
    mine = [row for row in twice if uuid.UUID(str(row[0])) in load.accepted]
    verdict.settled_twice = len(mine)
    if mine:
        verdict.problems.append(f"settled twice: {_some(mine)}")
    wrong = Counter((sort, *found[one][:2]) for one, sort in load.accepted.items()
                    if one in ended and found[one][0] not in FATES[sort])  # fmt: skip
    if wrong:
        verdict.problems.append(f"ended otherwise than they had to: {dict(wrong)}")
    spent = [one for one in ended if load.accepted[one] in ("short", "later") and found[one][4] - found[one][5] > 2]
    if spent:  # a rider gets back the attempt that a neighbour cost it; only alone does it pay
        verdict.problems.append(f"used up attempts without a fault of their own: {_some(spent)}")
    early = [one for one in ended if found[one][3] and found[one][2] and found[one][3] < found[one][2]
             and load.accepted[one] == "later"]  # fmt: skip
    if early:
        verdict.problems.append(f"started before their time: {_some(early)}")


def _missing(stage: Stage, load: Load) -> set[tuple[str, str]]:
    """(task, type) of each end in the history that the receiver did not take."""
    types = {
        "succeeded": "task.completed",
        "completed": "task.completed",
        "failed": "task.failed",
        "cancelled": "task.cancelled",
    }
    rows = stage.rows("SELECT task_id, what FROM tasks_app_taskevent WHERE is_terminal")
    wanted = {(uuid.UUID(str(key)), types[what]) for key, what in rows if uuid.UUID(str(key)) in load.accepted}
    return {(str(key), kind) for key, kind in wanted if (key, kind) not in stage.hooks.taken}


def _wait_for_webhooks(stage: Stage, load: Load) -> float:
    began = time.monotonic()
    while _missing(stage, load) and time.monotonic() < began + GIVEN_UP_SECONDS:
        time.sleep(0.5)
    return time.monotonic() - began


def _deliveries(stage: Stage) -> str:
    rows = stage.rows(
        "SELECT status, reason, count(*) FROM notifications_delivery WHERE status <> 'DELIVERED' GROUP BY 1, 2"
    )
    return f"deliveries {rows[:5]}"


def _judge_health(verdict: Verdict, stage: Stage) -> None:
    last = time.monotonic() + PATIENCE
    while True:
        try:
            answer = stage.api.call("GET", "/healthz", timeout=PATIENCE)
            healthy, said = answer.status_code == 200 and not answer.json().get("unaccounted", 0), answer.text[:300]
        except requests.RequestException as error:
            healthy, said = False, str(error)
        if healthy:
            return
        if time.monotonic() > last:
            verdict.problems.append(f"not healthy: {said}")
            return
        time.sleep(0.5)


def _some(found: Collection[object]) -> str:
    first = [str(one) for one in list(found)[:3]]
    return f"{len(found)}: {'; '.join(first)}"
