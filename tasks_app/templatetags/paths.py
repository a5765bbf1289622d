"""Paths that have no name in urls.py. Loaded for every template (settings.TEMPLATES)."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def prefix() -> str:
    """The path below which a proxy offers this server (PUBLIC_URL), or nothing."""
    return str(settings.PATH_PREFIX)
