"""Whether the credentials cover what is asked: reading or writing in the view's area."""

from typing import Any, cast

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from tasks_app.access import Access


class HasScope(BasePermission):
    """`scope_area` of the view (default `tasks`) with `:read` for safe methods, `:write` for the others.

    An empty area: whoever said who they are."""

    def has_permission(self, request: Request, view: Any) -> bool:
        access: Access | None = cast(Any, request.auth)
        if access is None:
            return False
        area = getattr(view, "scope_area", "tasks")
        scope = f"{area}:{'read' if request.method in SAFE_METHODS else 'write'}"
        if area and not access.has(scope):
            raise PermissionDenied(f"This token lacks the scope {scope}.")
        return True
