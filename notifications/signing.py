"""Signatures of webhooks, as the Standard Webhooks specification has them (symmetric scheme, `v1`).

Secrets are made, checked and used here; where they are stored, and encrypted, is the models' business.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "whsec_"
KEY_BYTES = 32
SHORTEST_KEY_BYTES = 24
LONGEST_KEY_BYTES = 64
SHORTEST_ROOT_KEY_BYTES = 16
TOLERANCE_SECONDS = 300
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")

Fault = Literal["", "no_header", "bad_format", "no_match", "too_old", "too_new"]

_DERIVATION_LABEL = b"Taskmanager webhook signing key v1:"
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=", re.ASCII)


class InvalidSecret(ValueError):
    """A webhook secret is `whsec_` followed by the standard, padded base64 of 24 to 64 bytes.

    The message says what is wrong and never repeats the secret.
    """

    code = "invalid_secret"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a request is signed as it should be and, as a sentence, why or why not.

    `key_number` counts the given secrets from 1. It is also there for a signature that is right but too old or
    too new; None if none matched.
    """

    fault: Fault = ""
    reason: str
    key_number: int | None = None

    @property
    def is_valid(self) -> bool:
        return not self.fault


def new_secret() -> str:
    """A fresh secret of 32 random bytes, as `whsec_…`."""
    return _as_secret(randomness.token_bytes(KEY_BYTES))


def parse_secret(secret: str) -> bytes:
    """The key inside a `whsec_…` secret: its decoded bytes. Raises InvalidSecret.

    Only the one canonical spelling passes, because receivers' libraries differ in what else they forgive.
    """
    if not secret.startswith(PREFIX):
        raise InvalidSecret(f"The secret must start with {PREFIX!r}.")
    encoded = secret[len(PREFIX) :]
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise InvalidSecret(f"What follows {PREFIX!r} must be standard, padded base64.") from None
    if base64.b64encode(key).decode() != encoded:
        raise InvalidSecret(f"What follows {PREFIX!r} must be standard, padded base64.")
    if not SHORTEST_KEY_BYTES <= len(key) <= LONGEST_KEY_BYTES:
        limits = f"{SHORTEST_KEY_BYTES} to {LONGEST_KEY_BYTES} bytes"
        raise InvalidSecret(f"The secret must hold {limits}; this one holds {len(key)}.")
    return key


def sign(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1,…` for each secret, in the order given (newest first).

    `timestamp` is the Unix time of this attempt in seconds, as sent in `webhook-timestamp`; `body` is exactly
    what goes over the wire. Raises InvalidSecret, and ValueError for no secret at all or an id with a dot in
    it (dots separate the signed parts).
    """
    if not secrets:
        raise ValueError("A webhook is signed with at least one secret.")
    if "." in webhook_id:
        raise ValueError(f"A webhook id has no dots: {webhook_id!r}.")
    return " ".join(_signature(secret, webhook_id, str(timestamp), body) for secret in secrets)


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float) -> Verdict:
    """Judge a request as its receiver would: signed with one of the secrets, and at most five minutes old or early.

    Header names may be in any case; `now` is Unix time in seconds. Signatures of other schemes (`v1a,…`) are passed
    over. Raises InvalidSecret, and ValueError for no secret at all; for nothing that a sender can do.
    """
    if not secrets:
        raise ValueError("A webhook is verified with at least one secret.")
    found = {name.lower(): value for name, value in headers.items()}
    if missing := [name for name in HEADERS if not found.get(name)]:
        return Verdict(fault="no_header", reason=f"There is no header {' and no '.join(missing)}.")
    webhook_id, timestamp, signatures = (found[name] for name in HEADERS)
    if "." in webhook_id:
        return Verdict(fault="bad_format", reason="The webhook-id has a dot in it, and dots separate the signed parts.")
    if not _TIMESTAMP.fullmatch(timestamp):
        return Verdict(fault="bad_format", reason="The webhook-timestamp is not a Unix time in whole seconds.")
    given = [signature.encode() for signature in signatures.split(" ") if _SIGNATURE.fullmatch(signature)]
    if not given:
        return Verdict(fault="bad_format", reason="The webhook-signature holds no v1, followed by 32 bytes in base64.")
    expected = [_signature(secret, webhook_id, timestamp, body).encode() for secret in secrets]
    # In constant time: how long a comparison takes tells nothing of the right signature.
    matches = [any(hmac.compare_digest(ours, theirs) for theirs in given) for ours in expected]
    if not any(matches):
        return Verdict(
            fault="no_match",
            reason="No signature matches: another secret, or the id, timestamp or body are not the very bytes signed.",
        )
    key = matches.index(True) + 1
    age = now - int(timestamp)
    if age > TOLERANCE_SECONDS:
        reason = f"The signature matches key {key}, but is {age:.0f} s old; {TOLERANCE_SECONDS} s are allowed."
        return Verdict(fault="too_old", reason=reason, key_number=key)
    if age < -TOLERANCE_SECONDS:
        reason = f"The signature matches key {key}, but is {-age:.0f} s in the future: do the clocks agree?"
        return Verdict(fault="too_new", reason=reason, key_number=key)
    return Verdict(reason=f"The signature matches key {key}.", key_number=key)


def derive_secret(root_key: str | bytes, owner_id: str) -> str:
    """The secret that signs the callbacks of one owner's tasks: HKDF-SHA256 (RFC 5869) of the root key.

    The same arguments give the same secret forever, so nothing is stored. Raises InvalidSecret for a root key
    under 16 bytes and ValueError for an empty owner.
    """
    key = root_key.encode() if isinstance(root_key, str) else root_key
    if len(key) < SHORTEST_ROOT_KEY_BYTES:
        raise InvalidSecret(f"WEBHOOK_SIGNING_KEY must hold at least {SHORTEST_ROOT_KEY_BYTES} bytes.")
    if not owner_id:
        raise ValueError("A signing key belongs to an owner: the owner's id is empty.")
    label = _DERIVATION_LABEL + owner_id.encode()
    derivation = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=label)
    return _as_secret(derivation.derive(key))


def _signature(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    content = f"{webhook_id}.{timestamp}.".encode(errors="surrogatepass") + body
    return "v1," + base64.b64encode(hmac.digest(parse_secret(secret), content, hashlib.sha256)).decode()


def _as_secret(key: bytes) -> str:
    return PREFIX + base64.b64encode(key).decode()
