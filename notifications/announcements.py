"""Announcements vouched for: whoever can write to Redis, and does not know SECRET_KEY, can say nothing to those who watch.

Each carries a code made with a key of ours, and the time. What has none, or is older than a minute, is not believed; so
Redis can lose and delay announcements, and repeat one for a minute (its version says that it is old).
"""

import hashlib
import hmac
from functools import lru_cache
from typing import Any

from channels_redis.serializers import MsgPackSerializer
from django.conf import settings
from django.utils.crypto import salted_hmac

from notifications.redis_replies import MAX_ANNOUNCEMENT
from tasks_app import clock

FORMAT = "vouched"
CODE_BYTES = 16
MAX_AGE_SECONDS = 60.0


class Unbelievable(Exception):
    """Not from a process with this server's SECRET_KEY, or from another time."""


class Vouched(MsgPackSerializer):  # type: ignore[misc]
    """msgpack of the time and the message, behind the code of both."""

    def as_bytes(self, message: Any, *_: Any, **__: Any) -> bytes:
        """The message as it travels."""
        body: bytes = MsgPackSerializer.as_bytes([clock.now().timestamp(), message])
        return _code(body) + body

    def from_bytes(self, data: Any, *_: Any, **__: Any) -> Any:
        """The message back. Raises Unbelievable."""
        if not isinstance(data, bytes) or not CODE_BYTES < len(data) <= MAX_ANNOUNCEMENT:
            raise Unbelievable("it has another form")
        code, body = data[:CODE_BYTES], data[CODE_BYTES:]
        if not hmac.compare_digest(code, _code(body)):
            raise Unbelievable("it was not made with this server's SECRET_KEY")
        at, message = MsgPackSerializer.from_bytes(body)
        if abs(clock.now().timestamp() - at) > MAX_AGE_SECONDS:
            raise Unbelievable("it is of another time")
        return message


def _code(body: bytes) -> bytes:
    return hashlib.blake2b(body, key=_key(settings.SECRET_KEY), digest_size=CODE_BYTES).digest()


@lru_cache(maxsize=4)
def _key(secret_key: str) -> bytes:
    return salted_hmac(__name__, "announcements", secret=secret_key, algorithm="sha256").digest()
