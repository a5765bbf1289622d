"""Work under which things break: tasks of several kinds from several clients, by a plan that its seed decides."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import requests

from tests.services.processes import PATIENCE, eventually

ENOUGH = 300
PACE = 16.0
"""Tasks a second, over all clients: not more than the machine can do, or the wait would hide the fault."""
CLIENTS = 6


@dataclass(frozen=True, kw_only=True)
class Order:
    """One task to submit. `sort` says what may become of it; times are seconds from the moment it is submitted."""

    sort: str
    body: dict[str, Any]
    starts_in: float = 0.0
    cancel_after: float | None = None

    def as_json(self) -> dict[str, Any]:
        found = {"title": f"chaos {self.sort}", **self.body}
        if self.starts_in:
            found["run_at"] = (datetime.now(timezone.utc) + timedelta(seconds=self.starts_in)).isoformat()
        if self.sort == "retry":
            found["payload"] = {"from": time.monotonic() + 0.3}
        return found


def orders(seed: int) -> Iterator[Order]:
    """Without end; the same for the same seed."""
    chance = random.Random(seed)
    weights = {"short": 45, "long": 12, "bad": 5, "retry": 14, "hopeless": 3, "later": 11, "cancelled": 10}
    while True:
        sort = chance.choices(list(weights), list(weights.values()))[0]
        body: dict[str, Any] = {"payload": {"message": f"{chance.random()}"}, "priority": chance.randint(-5, 5)}
        starts_in, cancel_after = 0.0, None
        if sort == "long":
            body["payload"]["seconds"] = round(chance.uniform(0.1, 1.0), 2)
            body["max_attempts"] = 20  # what runs when its server is killed has used one up
        elif sort == "bad":
            body["payload"] = {"no": "message"}
        elif sort == "retry":
            body["kind"] = "chaos_retry"
        elif sort == "hopeless":
            body |= {"kind": "chaos_hopeless", "payload": {}}
        elif sort == "later":
            starts_in = round(chance.uniform(0.5, 3.0), 2)
        elif sort == "cancelled":
            cancel_after = round(chance.uniform(0.0, 0.6), 2)
            if chance.random() < 0.5:
                starts_in = 2.0
            else:
                body["payload"]["seconds"] = 1.5
        yield Order(sort=sort, body=body, starts_in=starts_in, cancel_after=cancel_after)


class Load:
    """Submits until told that it is enough, and not fewer than ENOUGH. An order is repeated until it is answered 201."""

    def __init__(self, url: str, *, seed: int) -> None:
        self.url = url
        self.accepted: dict[uuid.UUID, str] = {}
        """Task → sort, of those answered 201."""
        self.refused: Counter[str] = Counter()
        """How often a POST was answered otherwise, or not at all."""
        self.slowest_seconds = 0.0
        """Of the POSTs that were answered 201."""
        self._orders = orders(seed)
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._client, name=f"client-{n}", daemon=True) for n in range(CLIENTS)]

    def start(self, *, until: int = 40) -> None:
        """Returns when so many are accepted: work is then going on."""
        for thread in self._threads:
            thread.start()
        eventually(lambda: len(self.accepted) >= until, message="the load did not begin")

    def finish(self) -> None:
        """Waits for what is still wanted."""
        self._enough.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads), "a client of the load hangs"
        assert len(self.accepted) >= ENOUGH, f"only {len(self.accepted)} tasks were accepted: {dict(self.refused)}"

    def submit(self, body: dict[str, Any], *, sort: str) -> uuid.UUID:
        """One more task, accepted like the others."""
        with requests.Session() as session:
            found = self._insist(session, Order(sort=sort, body=body), until=time.monotonic() + PATIENCE)
        assert found is not None, f"not accepted: {dict(self.refused)}"
        return found

    def _client(self) -> None:
        give_up = time.monotonic() + 2 * PATIENCE
        cancels: list[tuple[float, uuid.UUID]] = []
        with requests.Session() as session:
            session.trust_env = False
            while not (self._enough.is_set() and len(self.accepted) >= ENOUGH) and time.monotonic() < give_up:
                with self._lock:
                    order = next(self._orders)
                began = time.monotonic()
                task_id = self._insist(session, order, until=give_up)
                if task_id and order.cancel_after is not None:
                    cancels.append((time.monotonic() + order.cancel_after, task_id))
                for cancel in [one for one in cancels if one[0] <= time.monotonic()]:
                    if self._cancel(session, cancel[1]):
                        cancels.remove(cancel)
                time.sleep(max(0.0, CLIENTS / PACE - (time.monotonic() - began)))
            for _, task_id in cancels:
                self._cancel(session, task_id)

    def _insist(self, session: requests.Session, order: Order, *, until: float) -> uuid.UUID | None:
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                answer = session.post(f"{self.url}/tasks", json=order.as_json(), timeout=10)
            except requests.RequestException as error:
                self._refuse(type(error).__name__)
                continue
            if answer.status_code != 201:
                self._refuse(str(answer.status_code))
                continue
            with self._lock:
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
                found = uuid.UUID(answer.json()["id"])
                self.accepted[found] = order.sort
            return found
        return None

    def _refuse(self, why: str) -> None:
        with self._lock:
            self.refused[why] += 1
        time.sleep(0.2)

    def _cancel(self, session: requests.Session, task_id: uuid.UUID) -> bool:
        """True when there is nothing left to do: cancelled, or finished already."""
        try:
            answer = session.post(f"{self.url}/api/v1/tasks/{task_id}/cancel", json={}, timeout=5)
        except requests.RequestException:
            return False
        return answer.status_code in (200, 202, 409)
