"""JSON for eyes: indented, coloured, bounded. Every token is escaped on its own; nothing of it is ever markup."""

import json
import re
import shlex
import unicodedata
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from tasks_app.models import Task

register = template.Library()

MOST_CHARACTERS = 40_000
MOST_CURL = 8_000
UNUSUAL = re.compile(r"[^\n -~]")
TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)'
    r"|(?P<word>true|false|null)"
)


@register.filter
def pretty(value: Any) -> str:
    """Indented JSON. Characters that show nothing or turn the text around are written as escapes."""
    return UNUSUAL.sub(_visible, json.dumps(value, ensure_ascii=False, indent=2))


@register.filter
def highlighted(text: str) -> SafeString:
    """JSON text with a class on every token, cut where it gets too long for a page."""
    text = text[:MOST_CHARACTERS]
    parts, end = [], 0
    for found in TOKEN.finditer(text):
        parts.append(format_html("{}", text[end : found.start()]))
        parts.append(format_html('<span class="j-{}">{}</span>', found.lastgroup, found.group()))
        end = found.end()
    parts.append(format_html("{}", text[end:]))
    return mark_safe("".join(parts))  # noqa: S308  # every part is escaped


@register.filter
def is_cut(text: str) -> bool:
    """Longer than the page shows."""
    return len(text) > MOST_CHARACTERS


@register.simple_tag
def curl_line(task: Task, url: str, needs_token: bool) -> str:
    """A command that makes the same task again, or nothing where it would be too long to type."""
    fields: dict[str, Any] = {"title": task.title, "kind": task.kind}
    if task.payload is not None:
        fields["payload"] = task.payload
    fields |= {
        name: value for name in ("description", "tags", "metadata", "priority") if (value := getattr(task, name))
    }
    body = json.dumps(fields, ensure_ascii=not json.dumps(fields, ensure_ascii=False).isprintable())
    if len(body) > MOST_CURL:
        return ""
    token = ' \\\n  -H "authorization: Bearer $TASKMANAGER_TOKEN"' if needs_token else ""
    return (
        f"curl -X POST {shlex.quote(url)}{token} \\\n  -H 'content-type: application/json' \\\n  -d {shlex.quote(body)}"
    )


def _visible(found: re.Match[str]) -> str:
    character = found.group()
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Cn"):
        return character
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
