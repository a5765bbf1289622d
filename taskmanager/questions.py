"""What a worker answers to whoever can write to RabbitMQ: questions, and whether it should send events (Flower asks so).

Celery's own remote control could also stop workers, revoke, limit and restart, have them listen elsewhere, and match names
by a regular expression of the sender's, in the thread that everything else waits for.
"""

import logging
from typing import Any

from celery.worker.consumer.control import Control
from celery.worker.consumer.tasks import Tasks
from celery.worker.pidbox import Pidbox
from kombu.message import Message

from tasks_app import broker

logger = logging.getLogger(__name__)

ASKED = (
    "ping",
    "stats",
    "active",
    "active_queues",
    "registered",
    "reserved",
    "revoked",
    "scheduled",
    "enable_events",
    "disable_events",
)


class Mailbox(Pidbox):
    """Celery's, for questions alone."""

    def __init__(self, consumer: Any) -> None:
        super().__init__(consumer)
        # Over the in-process broker only this process is heard: standalone stops its workers so.
        commands = ASKED if broker.has_dead_letters() else (*ASKED, "shutdown")
        self.node.handlers = {name: self.node.handlers[name] for name in commands}

    def start(self, c: Any) -> None:
        """As Celery's; but these messages want no acknowledgement, and rejecting one would end the channel."""
        super().start(c)
        self.consumer.on_decode_error = self._ignore

    def on_message(self, body: Any, message: Message) -> None:
        """Answers, or ignores what is no question of ours."""
        if not self._is_question(body):
            self._ignore(message)
        elif not body.get("destination") or self.node.hostname in body["destination"]:
            # Without arguments: none of these needs one, and `registered` would read any attribute that it is told.
            self.node.dispatch(body["method"], {}, body.get("reply_to"), body.get("ticket"))

    def _ignore(self, message: Message, error: Exception | None = None) -> None:
        logger.warning("Ignored a control message that is no question of ours")

    def _is_question(self, body: Any) -> bool:
        if not isinstance(body, dict) or body.get("pattern") or body.get("matcher"):
            return False
        method, destination, reply_to = body.get("method"), body.get("destination"), body.get("reply_to")
        if not isinstance(method, str) or method not in self.node.handlers:
            return False
        if destination and not (isinstance(destination, list) and all(isinstance(name, str) for name in destination)):
            return False
        if reply_to is None:
            return True
        if not isinstance(reply_to, dict) or not isinstance(body.get("ticket"), str | None):
            return False
        key = reply_to.get("routing_key")
        known = reply_to.get("exchange") == self.node.mailbox.reply_exchange.name
        return known and isinstance(key, str) and len(key.encode("utf-8", "replace")) < 256


class Questions(Control):
    """The part of a worker's start that opens its mailbox."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        box: Any = Mailbox(consumer)
        vars(self).update(box=box, start=box.start, stop=box.stop, shutdown=box.shutdown)
