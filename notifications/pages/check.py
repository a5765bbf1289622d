"""The signature checker: whether a request that somebody received is signed as it should be, and if not, why."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from notifications import signing
from notifications.pages.endpoint_form import header_lines
from notifications.pages.reach import for_webhooks, typed
from notifications.signing import Verdict
from tasks_app import clock
from tasks_app.pages.viewer import Viewer

VARIANTS: dict[str, Callable[[str], str]] = {
    "as it was pasted": lambda body: body,
    "with one line end at its end": lambda body: body + "\n",
    "without line ends at its end": lambda body: body.rstrip("\n"),
    "with the line ends of Windows": lambda body: body.replace("\n", "\r\n"),
}
"""What forms and clipboards do to a body. A signature is of the very bytes."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The verdict, and what had to be done to the body for it."""

    verdict: Verdict
    variant: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
@for_webhooks
def check(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form. POST judges what was pasted; nothing of it is kept, and the secret is in no answer."""
    fields = typed(request)
    errors: dict[str, str] = {}
    found = _judge(fields, errors) if request.method == "POST" else None
    context = {
        "viewer": viewer, "found": found, "errors": errors, "tolerance": signing.TOLERANCE_SECONDS // 60,
        "typed": {name: fields.get(name, "") for name in ("headers", "body")},
    }  # fmt: skip
    return render(request, "notifications/check.html", context, status=422 if errors else 200)


def _judge(fields: dict[str, str], errors: dict[str, str]) -> Finding | None:
    secret, body = fields.get("secret", "").strip(), fields.get("body", "")
    headers = header_lines(fields.get("headers", ""))
    try:
        signing.parse_secret(secret)
    except signing.InvalidSecret as error:
        errors["secret"] = str(error)
    if isinstance(headers, str):
        errors["headers"] = headers
    if errors or isinstance(headers, str):
        return None
    now = clock.now().timestamp()
    first: Finding | None = None
    for variant, change in VARIANTS.items():
        verdict = signing.verify([secret], headers, change(body).encode(errors="surrogatepass"), now=now)
        first = first or Finding(verdict=verdict)
        if verdict.key_number is not None:
            return Finding(verdict=verdict, variant="" if first.verdict is verdict else variant)
    return first
