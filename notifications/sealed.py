"""What is kept encrypted at rest: the secrets and the headers of endpoints (Fernet; keys in WEBHOOK_ENCRYPTION_KEYS).

The first key seals, all of them open: a new key is put in front, and old rows are sealed anew as they are written.
"""

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class CannotSeal(Exception):
    """There is no key to seal with."""


class CannotUnseal(Exception):
    """None of the keys opens it: the one it was sealed with is gone."""


def can_seal() -> bool:
    """Whether the operator has set a key."""
    return bool(settings.WEBHOOK_ENCRYPTION_KEYS)


def seal(value: Any) -> str:
    """A JSON value as text that only the keys open. Raises CannotSeal."""
    return _keys().encrypt(json.dumps(value, separators=(",", ":")).encode()).decode("ascii")


def unseal(text: str) -> Any:
    """The value back. Raises CannotSeal without keys, CannotUnseal with none that fits."""
    try:
        return json.loads(_keys().decrypt(text.encode("ascii")))
    except InvalidToken:
        raise CannotUnseal(
            "None of WEBHOOK_ENCRYPTION_KEYS opens what is stored. Add the key it was sealed with."
        ) from None


def check(keys: str) -> None:
    """Raises ValueError if a key, of several with commas between them, is none."""
    _read(keys)


def _keys() -> MultiFernet:
    if not can_seal():
        raise CannotSeal("Endpoints are off here: the operator has set no WEBHOOK_ENCRYPTION_KEYS.")
    return _read(settings.WEBHOOK_ENCRYPTION_KEYS)


@lru_cache(maxsize=4)
def _read(keys: str) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
