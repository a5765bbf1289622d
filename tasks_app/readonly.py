"""Admin classes to look at rows, not to change them: changes go through the verbs. For the admin of both apps."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property


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


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows under another."""

    extra, max_num, can_delete = 0, 0, False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
