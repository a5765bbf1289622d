"""Django's admin with a header of our own."""

from typing import Any

from django.conf import settings
from django.contrib.admin import sites
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest


class OperationsAdminConfig(AdminConfig):
    """Stands in INSTALLED_APPS for django.contrib.admin."""

    default_site = "taskmanager.admin_site.OperationsSite"


class OperationsSite(sites.AdminSite):
    """Knows where Flower and RabbitMQ's page are, if the operator said so (FLOWER_LINK, RABBITMQ_LINK)."""

    site_header = site_title = "Taskmanager"
    index_title = "Operations"
    site_url = "/dashboard/"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        links = {"Flower": settings.FLOWER_LINK, "RabbitMQ": settings.RABBITMQ_LINK}
        return {**super().each_context(request), "operation_links": {name: url for name, url in links.items() if url}}
