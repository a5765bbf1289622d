"""Django's admin with a header of our own."""

import functools
from typing import Any

from django.conf import settings
from django.contrib.admin import sites
from django.contrib.admin.apps import AdminConfig
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse


class OperationsAdminConfig(AdminConfig):
    """Stands in INSTALLED_APPS for django.contrib.admin."""

    default_site = "taskmanager.admin_site.OperationsSite"


class OperationsSite(sites.AdminSite):
    """Knows where Flower and RabbitMQ's page are, if the operator said so (FLOWER_LINK, RABBITMQ_LINK)."""

    site_header = site_title = "Taskmanager"
    index_title = "Operations"
    site_url = f"{settings.PATH_PREFIX}/dashboard/"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        links = {"Flower": settings.FLOWER_LINK, "RabbitMQ": settings.RABBITMQ_LINK}
        return {**super().each_context(request), "operation_links": {name: url for name, url in links.items() if url}}

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Answers 400 where Django's admin asks the database for what cannot be, and would answer 500.

        Patterns are refused as a whole: none of our pages has such a filter, a bad one is an error of the database, and
        a costly one keeps it busy.
        """
        inner = super().admin_view(view, cacheable)

        @functools.wraps(inner)
        def answer(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            if any(name.endswith("regex") for name in request.GET):
                raise BadRequest("A filter by a pattern")
            try:
                response: HttpResponse = inner(request, *arguments, **named)
            except (ValidationError, DataError, OverflowError) as error:
                raise BadRequest(str(error)) from error
            return response

        return answer
