"""Signatures of webhooks, as the Standard Webhooks specification has them (symmetric scheme, `v1`).

Secrets are made, checked and used here; where they are stored, and encrypted, is the models' business.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as randomness
from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "whsec_"
KEY_BYTES = 32
SHORTEST_KEY_BYTES = 24
LONGEST_KEY_BYTES = 64
SHORTEST_ROOT_KEY_BYTES = 16

_DERIVATION_LABEL = b"Taskmanager webhook signing key v1:"


class InvalidSecret(ValueError):
    """A webhook secret is `whsec_` followed by the standard, padded base64 of 24 to 64 bytes.

    The message says what is wrong and never repeats the secret.
    """

    code = "invalid_secret"


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
    content = f"{webhook_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(parse_secret(secret), content, hashlib.sha256) for secret in secrets]
    return " ".join("v1," + base64.b64encode(digest).decode() for digest in digests)


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


def _as_secret(key: bytes) -> str:
    return PREFIX + base64.b64encode(key).decode()
