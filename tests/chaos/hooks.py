"""The receiver of the webhooks: fails the first attempt of every fifth event, and remembers what it took."""

import json
import threading
import uuid
import zlib
from collections import Counter

from tests.services.receiver import Answer, Receiver, Request

FAILS = 5
"""Every so manieth event, by its id: 20 %. Its second attempt comes five seconds later."""


class Hooks(Receiver):
    """Answers 200, or 500, each after `delay` seconds."""

    def __init__(self, *, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.delay = 0.0
        self.taken: Counter[tuple[uuid.UUID, str]] = Counter()
        """(task, type of event) → how often it was answered 200."""
        self._failed: set[str] = set()
        self._guard = threading.Lock()
        self.respond(self._behave)

    def forget(self) -> None:
        """What came so far, for the case to come."""
        with self._changed, self._guard:
            self._requests.clear()
            self.taken.clear()
            self._failed.clear()

    def _behave(self, request: Request) -> Answer:
        key = request.headers["webhook-id"]
        with self._guard:
            if zlib.crc32(f"{self.seed} {key}".encode()) % FAILS == 0 and key not in self._failed:
                self._failed.add(key)
                return Answer(500, delay=self.delay)
            try:
                body = json.loads(request.body)
            except ValueError:  # half of a request: its sender was killed
                return Answer(400)
            self.taken[uuid.UUID(body["id"]), body["type"]] += 1
        return Answer(200, delay=self.delay)
