"""AMQP messages as no client of ours would make them, down to the bytes of their headers."""

import json
import struct
import uuid
from typing import Any
from urllib.parse import urlsplit

import amqp


class Forged(amqp.Message):
    """A message whose properties are the bytes that it is given."""

    def __init__(self, body: bytes, properties: bytes) -> None:
        super().__init__(body)
        self.bytes = properties

    def _serialize_properties(self) -> bytes:
        return self.bytes


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def table(**items: bytes) -> bytes:
    content = b"".join(short(name.encode()) + value for name, value in items.items())
    return struct.pack(">I", len(content)) + content


def properties(*, content_type: bytes = b"application/json", headers: bytes) -> bytes:
    return b"\xe0\x00" + short(content_type) + short(b"utf-8") + headers


def nested(depth: int) -> bytes:
    """A header value: tables within tables."""
    value = b"V"
    for _ in range(depth):
        value = b"F" + table(a=value)
    return value


FAR = b"T" + struct.pack(">Q", 2**62)
"""A header value: a date that no library can hold."""


def celery(
    name: str, *arguments: Any, embedded: Any = None, options: Any = None, body: bytes | None = None, **headers: Any
) -> amqp.Message:
    """A message as Celery's protocol 2 has it."""
    empty = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    content = json.dumps([arguments, options or {}, empty if embedded is None else embedded]).encode()
    headers = {"lang": "py", "task": name, "id": str(uuid.uuid4()), "retries": 0, **headers}
    return plain(content if body is None else body, headers=headers)


def plain(
    body: bytes, *, headers: Any = None, content_type: str = "application/json", encoding: str = "utf-8"
) -> amqp.Message:
    return amqp.Message(body, content_type=content_type, content_encoding=encoding, application_headers=headers or {})


def publish(url: str, message: amqp.Message, *, exchange: str, routing_key: str = "") -> None:
    """Over a connection of its own, confirmed by the broker."""
    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port}",
        userid=parts.username or "guest",
        password=parts.password or "guest",
        virtual_host=parts.path.lstrip("/"),
        confirm_publish=True,
    )
    connection.connect()
    try:
        connection.channel().basic_publish(message, exchange=exchange, routing_key=routing_key)
    finally:
        connection.close()
