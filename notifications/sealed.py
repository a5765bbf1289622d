"""What is kept encrypted at rest: the secrets and the headers of endpoints (Fernet).

The first of WEBHOOK_ENCRYPTION_KEYS seals, all of them open: a new key is put in front, and old rows are sealed anew as
they are written. Behind them stands one derived from SECRET_KEY, for those who set none.
"""

import base64
import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac


class CannotUnseal(Exception):
    """None of the keys opens it: the one it was sealed with is gone."""


def seal(value: Any) -> str:
    """A JSON value as text that only the keys open."""
    return _keys().encrypt(json.dumps(value, separators=(",", ":")).encode()).decode("ascii")


def unseal(text: str) -> Any:
    """The value back. Raises CannotUnseal."""
    try:
        return json.loads(_keys().decrypt(text.encode("ascii")))
    except InvalidToken:
        raise CannotUnseal(
            "Neither WEBHOOK_ENCRYPTION_KEYS nor SECRET_KEY opens what is stored. Add the key it was sealed with."
        ) from None


def check(key: str) -> None:
    """Raises ValueError if this is no key."""
    Fernet(key)


def _keys() -> MultiFernet:
    return _read(tuple(settings.WEBHOOK_ENCRYPTION_KEYS), settings.SECRET_KEY)


@lru_cache(maxsize=4)
def _read(keys: tuple[str, ...], secret_key: str) -> MultiFernet:
    derived = salted_hmac(__name__, "webhook endpoints", secret=secret_key, algorithm="sha256").digest()
    return MultiFernet([*(Fernet(key) for key in keys), Fernet(base64.urlsafe_b64encode(derived))])
