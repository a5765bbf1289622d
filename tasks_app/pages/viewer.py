"""Who looks at a page, and what every page answers alike: to nobody, to errors, to a database that is away."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from tasks_app import database
from tasks_app.access import Access
from tasks_app.exceptions import TaskNotFound
from tasks_app.identity import anonymous_user, request_headers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Viewer(Access):
    """The person at a page: of the session, or the built-in user where ANONYMOUS_API allows it."""

    door: str = "page"
    has_session: bool = False


def for_viewers(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Hands the view its Viewer, or sends the browser to the login."""

    @never_cache
    @functools.wraps(view)
    def answer(request: HttpRequest, **parameters: Any) -> HttpResponse:
        try:
            viewer = _viewer(request)
            return view(request, viewer, **parameters) if viewer else _to_login(request)
        except TaskNotFound:
            return failure(request, 404, "There is no such task. It may have been deleted meanwhile.")
        except PermissionDenied as error:
            return failure(request, 403, str(error) or "You may not do this.")
        except database.AWAY as error:
            logger.error("Cannot reach the database: %s", str(error).strip())
            failed = failure(request, 503, database.sentence(error))
            failed.headers["Retry-After"] = database.RETRY_AFTER
            return failed

    return answer


def check_may_create(viewer: Viewer) -> None:
    """Raises PermissionDenied for who may only look."""
    if not viewer.may_create:
        raise PermissionDenied("You may not create tasks: that takes the role member or operator.")


def failure(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """The error page. Its template needs neither database nor session."""
    context = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    return render(request, "error.html", context, status=status)


def is_htmx(request: HttpRequest) -> bool:
    """Asked by htmx, for parts of a page."""
    return request.headers.get("HX-Request") == "true"


def came_from(request: HttpRequest) -> SplitResult:
    """Where a form or link says the person came from (`next`); nowhere, where that is no address. Not to be trusted."""
    try:
        return urlsplit(request.POST.get("next") or request.GET.get("next") or "")
    except ValueError:  # such as http://[
        return urlsplit("")


def anonymous(request: HttpRequest) -> Any:
    """The user that this browser would act as without a session, or None."""
    return anonymous_user(headers=request_headers(request), peer=request.META.get("REMOTE_ADDR", ""))


def _viewer(request: HttpRequest) -> Viewer | None:
    if request.user.is_authenticated:
        return Viewer(user=request.user, has_session=True)
    user = anonymous(request)
    return Viewer(user=user) if user else None


def _to_login(request: HttpRequest) -> HttpResponse:
    # After a POST there is nothing to come back to but the list.
    following = request.get_full_path() if request.method == "GET" else reverse("tasks:dashboard")
    answer = redirect_to_login(following)
    if is_htmx(request):
        return HttpResponse(headers={"HX-Redirect": answer.url})
    return answer
