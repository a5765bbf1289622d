"""Admin classes to look at rows, not to change them: changes go through the verbs. For the admin of both apps."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property

MOST = 1000
"""Rows that one action works on at a time."""


class UncountedPaginator(Paginator):  # type: ignore[type-arg]
    """Does not count a large table for a page number: past MOST rows it says MOST."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.MOST].count())


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To look at, not to change: changes go through the verbs."""

    paginator = UncountedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def ask_why_then(
        self, request: HttpRequest, rows: QuerySet[Any], *, action: str, verb: Callable[[Any, str, str], str]
    ) -> HttpResponse | None:
        """Shows what an action is about to do and asks for the reason; confirmed, does it to each row.

        `verb(row, who, why)` returns why it could not be done, or an empty string.
        """
        chosen = list(rows[: MOST + 1])
        more, chosen = len(chosen) > MOST, chosen[:MOST]
        if "why" not in request.POST:
            context = {
                **self.admin_site.each_context(request), "title": f"{action.replace('_', ' ').capitalize()} {len(chosen)}",
                "opts": self.opts, "rows": chosen[:20], "count": len(chosen), "more": more, "most": MOST, "action": action,
                "selected": chosen, "checkbox": helpers.ACTION_CHECKBOX_NAME, "media": self.media,
            }  # fmt: skip
            return TemplateResponse(request, "admin/confirm_action.html", context)
        who, why = f"admin:{request.user.get_username()}", request.POST["why"].strip()[:500].replace("\0", "")
        refused = [f"{row}: {text}" for row in chosen if (text := verb(row, who, why))]
        done = len(chosen) - len(refused)
        if done:
            self.message_user(request, f"{action.replace('_', ' ').capitalize()}: {done} done.", messages.SUCCESS)
        for text in refused[:5]:
            self.message_user(request, text, messages.WARNING)
        if len(refused) > 5:
            self.message_user(request, f"… and {len(refused) - 5} more were refused.", messages.WARNING)
        return None


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows under another."""

    extra, max_num, can_delete = 0, 0, False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
