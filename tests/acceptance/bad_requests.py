"""The table of requests that must be refused: fields × values, bodies that are no JSON, wrong methods, types and paths."""

from typing import Any

NUL, LONG = "a\0b", "x" * 70_000
NO_TEXT: list[Any] = [7, 1.5, True, [], {}, ["x"], {"a": "b"}]
NO_OBJECT: list[Any] = ["x", "", 7, 1.5, True, [], ["message"], [{"message": "x"}]]
NO_NUMBER: list[Any] = ["1", "", 1.5, True, False, None, [], [1], {}, 10**20, -(10**20)]


def nested(depth: int) -> Any:
    """An object that holds an object that holds …"""
    found: Any = {}
    for _ in range(depth):
        found = {"a": found}
    return found


FIELDS: dict[str, list[Any]] = {
    "title": [*NO_TEXT, None, "", " ", "\n\t\u3000", "x" * 256, LONG, NUL, "\0"],
    "description": [*NO_TEXT, NUL, LONG],
    "payload": [
        *NO_OBJECT, {"seconds": "1"}, {"seconds": -1}, {"seconds": 3601}, {"seconds": None}, {"seconds": True},
        {"message": NUL}, {NUL: 1}, {"message": [NUL]}, {"message": {"a": [{NUL: 1}]}}, nested(65), nested(300),
    ],
    "tags": [
        "x", 7, True, {}, {"a": 1}, None, [1], [None], [True], [[]], [{}], [""], [" "], ["x" * 51], [NUL], ["x"] * 21,
        ["ok", 7],
    ],
    "metadata": [*NO_OBJECT, None, {"a": NUL}, {NUL: 1}, {str(number): 1 for number in range(51)}, nested(65)],
    "priority": [*NO_NUMBER, 101, -101, 2**31, 2**63, -(2**63)],
    "max_attempts": [*NO_NUMBER, 0, -1, 1001, 2**31],
    "timeout": [*NO_NUMBER, 0, -1, 86_401, 2**31],
    "run_at": [
        7, True, None, [], {}, "", "tomorrow", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-22T", NUL,
        "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z",
        "1e9", "x" * 10_000,
    ],
    "callback_url": [
        *NO_TEXT, None, "x", "/hook", "ftp://example.com/", "javascript:alert(1)", "file:///etc/passwd", NUL, "http://",
        "https://user:password@example.com/", "https://example.com/#fragment", "https://exa mple.com/", "https://[::1",
        "https://169.254.169.254/latest/meta-data", "https://example.com/" + "x" * 2048, "https://example.com:99999/",
        "https://example.com\\@127.0.0.1/",
    ],
}  # fmt: skip
ONLY_NEW: dict[str, list[Any]] = {"kind": [*NO_TEXT, None, "", "unknown", "Message", "message ", "x" * 101, LONG, NUL]}
ONLY_CHANGED: dict[str, list[Any]] = {"done": ["true", "", 1, 0, 1.0, None, [], {}]}


def _cases(*tables: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for table in tables for name, values in table.items() for value in values]


NEW = _cases(FIELDS, ONLY_NEW)
CHANGES = _cases(FIELDS, ONLY_CHANGED)


def case_id(value: Any) -> str:
    return ascii(value)[:40] if not isinstance(value, str) else ascii(value)[1:30]


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \n",
    "text": b"title",
    "form": b"title=x",
    "cut": b'{"title": "x"',
    "cut text": b'{"title": "x',
    "comma": b'{"title": "x",}',
    "quotes": b"{'title': 'x'}",
    "two": b'{"title": "x"} {"title": "y"}',
    "comment": b'/* x */ {"title": "x"}',
    "no quotes": b'{title: "x"}',
    "NaN": b'{"title": "x", "payload": {"a": NaN}}',
    "NaN title": b'{"title": NaN}',
    "Infinity": b'{"title": "x", "payload": {"a": Infinity}}',
    "-Infinity": b'{"title": "x", "payload": {"a": -Infinity}}',
    "1e400": b'{"title": "x", "payload": {"a": 1e400}}',
    "surrogate": b'{"title": "\\ud800"}',
    "low surrogate": b'{"title": "x", "description": "a\\udc00b"}',
    "surrogate key": b'{"title": "x", "payload": {"\\ud800": 1}}',
    "surrogate in payload": b'{"title": "x", "payload": {"message": ["\\udfff"]}}',
    "encoded surrogate": b'{"title": "\xed\xa0\x80"}',
    "latin-1": '{"title": "Grüße"}'.encode("latin-1"),
    "utf-16": '{"title": "x"}'.encode("utf-16"),
    "utf-32": '{"title": "x"}'.encode("utf-32-le"),
    "byte order mark": b'\xef\xbb\xbf{"title": "x"}',
    "overlong": b'{"title": "\xc0\x80"}',
    "bytes": bytes(range(256)),
    "raw NUL": b'{"title": "a\0b"}',
    "raw newline": b'{"title": "a\nb"}',
    "NULs": b"\0" * 1000,
    "gzip": bytes.fromhex("1f8b0800000000000003ab562ac92cc9495552aa50aa0500d8a3f6b30e000000"),
    "deep list": b"[" * 100_000,
    "deep list closed": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep payload": b'{"title": "x", "payload": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "list": b'[{"title": "x"}]',
    "null": b"null",
    "number": b"7",
    "long number": b'{"title": "x", "priority": ' + b"9" * 5000 + b"}",
    "true": b"true",
    "empty object": b"{}",
}
QUERIES = [
    "limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=1e3", "limit=1.0", "limit=%D9%A3", "limit=%00",
    "limit=99999999999999999999999", "after=x", "after=7", "after=%00", "after=%FF", "after=' OR 1=1",
]  # fmt: skip
METHODS = [
    ("PUT", "/tasks"), ("PATCH", "/tasks"), ("DELETE", "/tasks"), ("PURGE", "/tasks"),
    ("POST", "/tasks/{id}"), ("PATCH", "/tasks/{id}"), ("FOO", "/tasks/{id}"),
    ("GET", "/tasks/{id}/complete"), ("POST", "/tasks/{id}/complete"), ("DELETE", "/tasks/{id}/complete"),
]  # fmt: skip
TYPES = [
    "text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded", "application/octet-stream",
    "application/jsonx", "json", "*/*", "x" * 500,
]  # fmt: skip
NO_IDS = ["%00", "%FF", "%2e%2e%2fadmin", "x" * 5000, "'", "null", "-1", "{}", "%F0%9F%8E%89"]
