"""Idempotency-Key: a POST that is sent twice is done once.

The key is written in the transaction of what it guards: either both are stored or neither. Of requests with one key at
the same time the database lets one through and the others wait for it, then they get its answer. Only what was done is
kept: a refused request changed nothing, so its key is free for the corrected one. Keys live 24 hours.
"""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import orjson
from cryptography.fernet import Fernet
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from tasks_app.exceptions import InvalidTask, TaskError
from tasks_app.models import IdempotencyKey

LIFE = timedelta(hours=24)
BATCH = 500
HEADERS = ("Content-Type", "Location", "ETag", "Cache-Control")
"""Of an answer that are kept with it."""
_KEY = re.compile(r"[\x20-\x7e]{1,255}")

View = TypeVar("View", bound=Callable[..., HttpResponse])


class BadKey(TaskError):
    """An Idempotency-Key is 1 to 255 printable ASCII characters."""

    code = "bad_idempotency_key"


class KeyReused(TaskError):
    """This Idempotency-Key came with another body before. Use a new key for a new request."""

    code = "idempotency_key_reused"


def idempotent(post: View) -> View:
    """For the `post` of a view whose answers are finished HttpResponses: obeys Idempotency-Key where one is sent."""
    return _guard(post, secret=False)


def idempotent_secret(post: View) -> View:
    """The same for answers that hold a secret: they are kept encrypted."""
    return _guard(post, secret=True)


def _guard(post: View, *, secret: bool) -> View:
    @functools.wraps(post)
    def answer(self: Any, request: Any, *arguments: Any, **named: Any) -> HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return post(self, request, *arguments, **named)
        if not _KEY.fullmatch(key):
            raise BadKey
        wanted = IdempotencyKey(
            owner_id=request.user.pk, method=request.method, path=quote(request.path)[:255], key=key,
            digest=_digest(request.data), created_at=timezone.now(),
        )  # fmt: skip
        return _once(wanted, lambda: post(self, request, *arguments, **named), secret=secret)

    return answer  # type: ignore[return-value]


def _once(wanted: IdempotencyKey, do: Callable[[], HttpResponse], *, secret: bool) -> HttpResponse:
    with transaction.atomic():
        # Waits for whoever holds the same key in a transaction of their own.
        IdempotencyKey.objects.bulk_create([wanted], ignore_conflicts=True)
        same = {name: getattr(wanted, name) for name in ("owner_id", "method", "path", "key")}
        found = IdempotencyKey.objects.get(**same)
        if found.pk != wanted.pk:
            if found.digest != wanted.digest:
                raise KeyReused
            return _replay(found, secret=secret)
        response = do()
        if response.status_code >= 400:
            transaction.set_rollback(True)
            return response
        wanted.status = response.status_code
        wanted.headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
        wanted.body = _box().encrypt(response.content) if secret else response.content
        wanted.save(update_fields=["status", "headers", "body"])
    return response


def _replay(found: IdempotencyKey, *, secret: bool) -> HttpResponse:
    body = bytes(found.body)
    headers = {**found.headers, "Idempotent-Replayed": "true"}
    return HttpResponse(_box().decrypt(body) if secret else body, status=found.status, headers=headers)


def forget_old(*, now: datetime) -> int:
    """Deletes keys past their life, some at a time. Returns how many."""
    old = IdempotencyKey.objects.filter(created_at__lt=now - LIFE).order_by("created_at")
    ids = list(old.values_list("pk", flat=True)[:BATCH])
    return IdempotencyKey.objects.filter(pk__in=ids).delete()[0] if ids else 0


def _digest(data: Any) -> str:
    # Of what the body says: another order of keys or other spaces are the same request.
    try:
        text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a whole number over 64 bits, one that will be refused, or over 254 levels
        try:
            text = json.dumps(data, sort_keys=True, default=repr).encode()
        except RecursionError:
            raise InvalidTask({"body": "It is nested too deeply."}) from None
    return hashlib.sha256(text).hexdigest()


def _box() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(salted_hmac(__name__, "answers", algorithm="sha256").digest()))
