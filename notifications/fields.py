"""What an endpoint may be set to: one check for the API, the pages and the admin."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from notifications import payloads, signing
from notifications.sender import malformed_header
from notifications.targets import EgressPolicy, TargetRefused, check_url
from tasks_app.strict_json import UnkeptNumber, number_error

SETTABLE = (
    "url", "description", "event_types", "kinds", "tags", "metadata", "include_result", "headers", "secret",
)  # fmt: skip
MOST_PATTERNS, MOST_WORDS, MOST_METADATA, MOST_HEADERS = 20, 20, 10, 10
LONGEST_WORD, LONGEST_DESCRIPTION, LONGEST_HEADER = 100, 255, 4096
RESERVED = ("content-", "webhook-", "x-taskmanager-")
RESERVED_NAMES = frozenset({"host", "connection", "transfer-encoding", "te", "upgrade", "user-agent"})
EVENT_TYPES = sorted({*payloads.EVENT_TYPES.values(), payloads.PING, payloads.DISABLED})


def problems(fields: Mapping[str, Any]) -> dict[str, str]:
    """Field → what is wrong with it and what would do. Of a change, only the changed fields are here."""
    checks = {
        "url": check_address, "description": _description, "event_types": check_patterns, "kinds": _words, "tags": _words,
        "metadata": _metadata, "include_result": _flag, "headers": check_headers, "secret": _secret,
    }  # fmt: skip
    found = {name: checks[name](value) if name in checks else _unknown(name) for name, value in fields.items()}
    return {name: problem for name, problem in found.items() if problem}


def check_address(url: Any) -> str:
    """The rule for saving is the one for sending."""
    if not isinstance(url, str) or not url:
        return "An address such as https://example.org/hook."
    try:
        check_url(url, EgressPolicy.from_settings())
    except TargetRefused as refusal:
        return refusal.public_message
    return ""


def check_patterns(patterns: Any) -> str:
    """Event types, or globs that match some."""
    if not _are_words(patterns) or not 1 <= len(patterns) <= MOST_PATTERNS:
        return f'A list of 1 to {MOST_PATTERNS} event types such as "task.completed" or "task.*".'
    for pattern in patterns:
        if not any(fnmatchcase(known, pattern) for known in EVENT_TYPES):
            return f"{pattern!r} matches no event type. There are: {', '.join(EVENT_TYPES)}."
    return ""


def check_headers(headers: Any) -> str:
    """A few of one's own, none that we, HTTP or the signature need."""
    if not isinstance(headers, Mapping) or len(headers) > MOST_HEADERS:
        return f"An object of at most {MOST_HEADERS} headers: name and value."
    names = [str(name).lower() for name in headers]
    if len(set(names)) < len(names):
        return "A header is there twice; upper and lower case are the same."
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            return "Names and values of headers are texts."
        if len(value) > LONGEST_HEADER or len(name) > LONGEST_WORD:
            return f"The header {name[:LONGEST_WORD]!r} is too long: {LONGEST_HEADER} characters at most."
        if name.lower() in RESERVED_NAMES or name.lower().startswith(RESERVED):
            return f"The header {name!r} is the sender's own."
        if wrong := malformed_header(name, value):
            return wrong
    return ""


def _unknown(name: str) -> str:
    return f"There is no such field. There are: {', '.join(SETTABLE)}."


def _description(text: Any) -> str:
    fits = isinstance(text, str) and len(text) <= LONGEST_DESCRIPTION and "\0" not in text
    return "" if fits else f"A text of at most {LONGEST_DESCRIPTION} characters."


def _words(words: Any) -> str:
    fits = _are_words(words) and len(words) <= MOST_WORDS
    return "" if fits else f"A list of at most {MOST_WORDS} words of up to {LONGEST_WORD} characters."


def _are_words(words: Any) -> bool:
    return isinstance(words, list) and all(
        isinstance(word, str) and 1 <= len(word) <= LONGEST_WORD and "\0" not in word for word in words
    )


def _metadata(wanted: Any) -> str:
    fits = isinstance(wanted, dict) and len(wanted) <= MOST_METADATA
    for key, value in wanted.items() if fits else ():
        if isinstance(value, int | float | UnkeptNumber) and (wrong := number_error(value)):
            return f"{key[:LONGEST_WORD]} {wrong}"
    if fits and all(_are_words([key]) and _is_simple(value) for key, value in wanted.items()):
        return ""
    return f"An object of at most {MOST_METADATA} keys with the value that each must have: text, number, true, false, null."


def _is_simple(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_DESCRIPTION and "\0" not in value
    return value is None or isinstance(value, (int, float))


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false."


def _secret(secret: Any) -> str:
    try:
        signing.parse_secret(secret if isinstance(secret, str) else "")
    except signing.InvalidSecret as error:
        return str(error)
    return ""
