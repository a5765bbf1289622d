"""How values of a task read on a page. The socket renders the same templates, so nothing here needs a request."""

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from datetime import timezone as zones
from itertools import pairwise
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

PAYLOAD_CHARACTERS = 200


@register.filter
def payload_line(payload: Any) -> str:
    """One line of JSON, cut where no screen shows more."""
    text = json.dumps(payload, ensure_ascii=False)
    return text if len(text) <= PAYLOAD_CHARACTERS else text[:PAYLOAD_CHARACTERS] + "…"


@register.filter
def marked(text: str) -> SafeString:
    """The one piece of Markdown that descriptions have: `code`."""
    return mark_safe(re.sub("`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S308 - escaped before


@register.filter
def ago(moment: datetime) -> str:
    """`12 s ago`, `in 3 min`, after a month the date. The page's clock.js says it in the same words."""
    seconds = round((timezone.now() - moment).total_seconds())
    size = abs(seconds)
    if size < 1:
        return "now"
    if size >= 30 * 86_400:
        return f"{moment:%Y-%m-%d}"
    text = next(f"{size // unit} {name}" for unit, name in _UNITS if size >= unit)
    return f"{text} ago" if seconds > 0 else f"in {text}"


@register.filter
def exact(moment: datetime) -> str:
    """`2026-01-31 14:05:09 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@register.filter
def until(start: datetime, end: datetime) -> str:
    """How long it took: `0.04 s`, `3.2 s`, `12 min`, `2 h 5 min`."""
    took = max(end - start, timedelta()).total_seconds()
    if took < 0.01:
        return "under 0.01 s"
    if took < 60:
        return f"{took:.2f} s" if took < 1 else f"{took:.1f} s"
    if took < 3600:
        return f"{took // 60:.0f} min {took % 60:.0f} s"
    return f"{took // 3600:.0f} h {took % 3600 // 60:.0f} min"


@register.filter
def long(took: timedelta) -> str:
    """A duration, in the same words."""
    return until(_EPOCH, _EPOCH + took)


@register.filter
def in_order(steps: Iterable[Any]) -> list[tuple[Any, timedelta | None]]:
    """Anything with an `at`, by time, each with the time since the one before."""
    ordered = sorted(steps, key=lambda step: step.at)
    gaps = [None, *(after.at - before.at for before, after in pairwise(ordered))]
    return list(zip(ordered, gaps, strict=False))  # no line, no gap


@register.filter
def is_ahead(moment: datetime) -> bool:
    """Still to come."""
    return moment > timezone.now()


_EPOCH = datetime(2000, 1, 1, tzinfo=zones.utc)
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
