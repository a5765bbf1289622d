"""A person's own API tokens: making one, whose text is shown once, and revoking."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from tasks_app import identity, tokens
from tasks_app.access import SCOPES
from tasks_app.models import ApiToken
from tasks_app.pages.viewer import Viewer, for_viewers
from tasks_app.validation import text_error

MOST_TOKENS = 100
MOST_SHOWN = 300
LIVES = {"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}
DEFAULT_SCOPES = ["tasks:read", "tasks:write"]


class TokenForm(forms.Form):
    """What the new token is called, what it may do and how long it lives."""

    name = forms.CharField(max_length=100, error_messages={"required": "A name is required."})
    scopes = forms.MultipleChoiceField(
        choices=list(SCOPES.items()), error_messages={"required": "Choose what it may do."}
    )
    days = forms.ChoiceField(choices=list(LIVES.items()), required=False)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if error := text_error(name):
            raise forms.ValidationError(f"This {error}")
        return name


@require_http_methods(["GET", "HEAD", "POST"])
@for_viewers
def token_list(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The list and the form. POST makes a token; its text is in that one answer and nowhere else."""
    if request.method != "POST":
        return _page(request, viewer, form=TokenForm(initial={"scopes": DEFAULT_SCOPES, "days": "90"}))
    _check_may_have(viewer)
    form = TokenForm(request.POST)
    now = timezone.now()
    if form.is_valid() and _alive(viewer) >= MOST_TOKENS:
        form.add_error(None, f"You have {MOST_TOKENS} tokens. Revoke some first.")
    if not form.is_valid():
        return _page(request, viewer, form=form, status=422)
    days = form.cleaned_data["days"]
    token, text = tokens.issue(
        viewer.user, name=form.cleaned_data["name"], scopes=form.cleaned_data["scopes"],
        expires_at=now + timedelta(days=int(days)) if days else None,
    )  # fmt: skip
    fresh = TokenForm(initial={"scopes": DEFAULT_SCOPES, "days": "90"})
    return _page(request, viewer, form=fresh, made=token, text=text, status=201)


@require_POST
@for_viewers
def revoke(request: HttpRequest, viewer: Viewer, token_id: int) -> HttpResponse:
    """From now on it opens nothing."""
    token = get_object_or_404(ApiToken, pk=token_id, owner_id=viewer.user.pk)
    tokens.revoke(token)
    messages.success(request, f"“{token.name}” is revoked: it opens nothing any more.")
    return redirect("tasks:tokens")


def _check_may_have(viewer: Viewer) -> None:
    # The built-in user is everybody on this machine: a token of its would outlive the rule that lets them in.
    if viewer.user.get_username() == identity.LOCAL:
        raise PermissionDenied("Nobody in particular has no tokens. Log in first.")


def _alive(viewer: Viewer) -> int:
    return ApiToken.objects.filter(owner_id=viewer.user.pk, revoked_at=None).count()


def _page(
    request: HttpRequest, viewer: Viewer, *, form: TokenForm, made: ApiToken | None = None, text: str = "", status: int = 200
) -> HttpResponse:  # fmt: skip
    now = timezone.now()
    own = ApiToken.objects.filter(owner_id=viewer.user.pk).order_by("-id")[:MOST_SHOWN]
    chosen = form["scopes"].value() or []
    context: dict[str, Any] = {
        "viewer": viewer, "form": form, "made": made, "text": text, "lives": LIVES.items(),
        "chosen_days": form["days"].value() or "",
        "tokens": [(token, _state(token, now)) for token in own],
        "scopes": [(name, says, name in chosen) for name, says in SCOPES.items()],
        "may_have": viewer.user.get_username() != identity.LOCAL,
        "address": request.build_absolute_uri(f"{settings.PATH_PREFIX}/api/v1/tasks"),
    }  # fmt: skip
    return render(request, "tasks_app/tokens.html", context, status=status)


def _state(token: ApiToken, now: Any) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= now else ""
