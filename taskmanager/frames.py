"""AMQP as RabbitMQ passes it on, which is as anybody sent it: a header that cannot be read is no reason to stop.

py-amqp raises from the middle of its event loop where a property is no UTF-8, a date lies beyond the year 9999 or tables
are nested too deep. The worker ends, RabbitMQ gives the message to the next one, and so on. Here such a message arrives
without its properties, marked UNREADABLE; whoever consumes refuses it like any other that is none of ours.
"""

from collections.abc import Callable
from struct import unpack_from
from typing import Any

from amqp import spec
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic, dumps
from kombu import compression
from kombu.transport import TRANSPORT_ALIASES, pyamqp

from tasks_app.broker import UNREADABLE

HEADER_FRAME = 2
_SIZES = 12
"""Bytes of a content header before its properties: class, weight and the size of the body."""
_NO_PROPERTIES = b"\x20\x00" + dumps("F", ({UNREADABLE: True},))
_TEXTS = {spec.Basic.Deliver: (1, 9, 2), spec.Basic.GetOk: (0, 9, 2), spec.Basic.Return: (0, 2, 3)}
"""Of methods that bring a message: so many short texts, so many bytes, so many texts again."""


def tolerant_frames(connection: Any, callback: Callable[..., Any]) -> Callable[[tuple[int, int, Any]], bool]:
    """py-amqp's reader of frames; a content header that it cannot read is replaced by an empty one."""
    read: Callable[[tuple[int, int, Any]], bool] = frame_handler(connection, callback)

    def read_any(frame: tuple[int, int, Any]) -> bool:
        kind, channel, data = frame
        if kind != HEADER_FRAME:
            return read(frame)
        try:
            (size,) = unpack_from(">Q", data, 4)
            if size:  # nobody is called before the body is there, so whatever is raised comes from the header
                return read(frame)
            decode_properties_basic(data, _SIZES)
        except Exception:  # of many classes, RecursionError among them
            frame = (kind, channel, bytes(data[:_SIZES]) + _NO_PROPERTIES)
        return read(frame)

    return read_any


def readable(method: tuple[int, int], arguments: Any) -> Any:
    """The arguments of a method that brings a message, with `?` for each byte of its texts that is not ASCII."""
    if method not in _TEXTS or bytes(arguments).isascii():
        return arguments
    before, skipped, after = _TEXTS[method]
    found, offset = bytearray(arguments), 4
    for count, skip in ((before, skipped), (after, 0)):
        for _ in range(count):
            end = offset + 1 + found[offset]
            found[offset + 1 : end] = bytes(byte if byte < 0x80 else 0x3F for byte in found[offset + 1 : end])
            offset = end
        offset += skip
    return bytes(found)


class Channel(pyamqp.Channel):
    """Names of exchanges and routing keys are anybody's too."""

    def dispatch_method(self, method_sig: Any, payload: Any, content: Any) -> Any:
        return super().dispatch_method(method_sig, readable(method_sig, payload), content)


class Connection(pyamqp.Connection):
    """Reads whatever comes."""

    Channel = Channel

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"frame_handler": tolerant_frames, **options})


class Transport(pyamqp.Transport):
    """amqp://"""

    Connection = Connection


class SSLTransport(pyamqp.SSLTransport):
    """amqps://"""

    Connection = Connection


def install() -> None:
    """From now on amqp:// and amqps:// are these, and nothing is unpacked.

    Nothing of ours is compressed, and 100 kB of zeros become 100 MB before anybody can look.
    """
    for kind in compression.encoders():
        encoder: Any = compression.get_encoder(kind)
        compression.register(encoder[0], _refuse, kind)
    TRANSPORT_ALIASES["amqp"] = TRANSPORT_ALIASES["pyamqp"] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["amqps"] = f"{__name__}:SSLTransport"


def _refuse(body: bytes) -> bytes:
    raise ValueError("It is compressed, and ours are not.")
