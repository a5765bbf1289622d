"""The path of PUBLIC_URL, where a proxy offers the server below one. It may take the prefix away or leave it: both work.

Inside, every HTTP path has it (taskmanager/urls.py), so that links need no request to be right. Sockets have it nowhere.
"""

from django.conf import settings


def with_prefix(path: str) -> str:
    """The path as urls.py knows it."""
    prefix: str = settings.PATH_PREFIX
    if not prefix or not path.startswith("/") or path.startswith(f"{prefix}/"):
        return path
    return f"{prefix}/" if path == prefix else prefix + path


def without_prefix(path: str) -> str:
    """The path below the prefix."""
    prefix: str = settings.PATH_PREFIX
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
