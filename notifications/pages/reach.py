"""Which endpoints and deliveries a person at a page reaches: what may not be seen is not there (404), what may be seen
may still be refused (403)."""

import functools
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from notifications import access
from notifications.models import Delivery, Endpoint
from tasks_app.pages.viewer import Viewer, failure, for_viewers

MOST_WHY = 500


def for_webhooks(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """As `for_viewers`; an endpoint or delivery that is not there, or went meanwhile, is a page that says so."""

    @functools.wraps(view)
    def answer(request: HttpRequest, viewer: Viewer, **parameters: Any) -> HttpResponse:
        try:
            return view(request, viewer, **parameters)
        except Endpoint.DoesNotExist:
            return failure(request, 404, "There is no such endpoint. It may have been deleted meanwhile.")
        except Delivery.DoesNotExist:
            return failure(request, 404, "There is no such delivery. Its log may have come to its end.")

    return for_viewers(answer)


def seen(viewer: Viewer, endpoint_id: uuid.UUID) -> Endpoint:
    """One that the viewer may see. Raises Endpoint.DoesNotExist."""
    return access.endpoints_of(viewer).select_related("owner").get(pk=endpoint_id)


def changeable(viewer: Viewer, endpoint_id: uuid.UUID) -> Endpoint:
    """One that the viewer may change. Raises Endpoint.DoesNotExist, PermissionDenied."""
    endpoint = seen(viewer, endpoint_id)
    if not access.may_change(viewer, endpoint):
        raise PermissionDenied("You may see this endpoint, but not change it.")
    return endpoint


def check_may_create(viewer: Viewer) -> None:
    """Raises PermissionDenied for who may only look."""
    if not access.may_create(viewer):
        raise PermissionDenied("You may not make endpoints: that takes the role member or operator.")


def seen_delivery(viewer: Viewer, delivery_id: uuid.UUID) -> Delivery:
    """One that the viewer may see. Raises Delivery.DoesNotExist."""
    return access.deliveries_of(viewer).get(pk=delivery_id)


def reason(request: HttpRequest) -> str:
    """Why somebody sends it again, for the log of attempts."""
    return request.POST.get("why", "").strip()[:MOST_WHY].replace("\0", "")


def moment(text: str) -> datetime | None:
    """What a person typed into a field for a time, in UTC; None if it is none."""
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


def typed(request: HttpRequest) -> dict[str, str]:
    """The last value of each field of a form, with line ends as they were typed."""
    return {name: value.replace("\r\n", "\n") for name, value in request.POST.dict().items() if isinstance(value, str)}
