"""Who you are, and your own API tokens."""

from typing import TypedDict

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from tasks_app import identity, tokens
from tasks_app.access import SCOPES
from tasks_app.api.lookup import access_of
from tasks_app.api.renderers import json_response
from tasks_app.api.representation import maybe_moment, moment
from tasks_app.api.v1.query import Query, number
from tasks_app.api.v1.shapes import TokenFields
from tasks_app.idempotency import idempotent_secret
from tasks_app.models import ApiToken

MOST_TOKENS = 100


class TokenJSON(TypedDict):
    """`prefix` is the beginning of the text, to recognise it by."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class Me(APIView):
    """`/api/v1/me`."""

    scope_area = ""

    def get(self, request: Request) -> HttpResponse:
        """Says who you are, your roles, and what these credentials cover."""
        Query(request, set()).check()
        access, user = access_of(request), request.user
        scopes = sorted(SCOPES) if access.scopes is None else sorted(access.scopes)
        return json_response({
            "user": user.get_username(), "is_staff": user.is_staff,
            "roles": sorted(user.groups.values_list("name", flat=True)), "scopes": scopes,
            "may_create": access.may_create,
            "may_any": {action: access.may_any(action) for action in ("view", "change", "delete")},
        })  # fmt: skip


class TokenList(APIView):
    """`/api/v1/tokens`."""

    scope_area = "tokens"

    def get(self, request: Request) -> HttpResponse:
        """Lists your own tokens, newest first, revoked ones too. Their texts are not kept."""
        Query(request, set()).check()
        own = ApiToken.objects.filter(owner_id=request.user.pk).order_by("-id")
        return json_response({"tokens": [_json(token) for token in own]})

    @idempotent_secret
    def post(self, request: Request) -> HttpResponse:
        """Makes a token and shows its text, this once. A token makes none that may more, or lives longer, than itself."""
        if request.user.get_username() == identity.LOCAL:
            raise PermissionDenied("Nobody in particular has no tokens. Log in, or use manage.py create_token.")
        fields = TokenFields(data=request.data)
        fields.is_valid(raise_exception=True)
        asked = fields.validated_data
        expires_at = asked.get("expires_at")
        _check(request, asked["scopes"], expires_at)
        token, text = tokens.issue(
            access_of(request).user, name=asked["name"], scopes=asked["scopes"], expires_at=expires_at
        )
        headers = {"Location": f"{settings.PATH_PREFIX}/api/v1/tokens/{token.pk}", "Cache-Control": "no-store"}
        return json_response({**_json(token), "token": text}, status=201, headers=headers)


class TokenDetail(APIView):
    """`/api/v1/tokens/{id}`."""

    scope_area = "tokens"

    def get(self, request: Request, token_id: str) -> HttpResponse:
        """Reads one of your tokens."""
        return json_response(_json(_own(request, token_id)))

    def delete(self, request: Request, token_id: str) -> HttpResponse:
        """Revokes a token: from now on it opens nothing. It stays in the list."""
        tokens.revoke(_own(request, token_id))
        return HttpResponse(status=204)


def _check(request: Request, scopes: list[str], expires_at: object) -> None:
    access, now = access_of(request), timezone.now()
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise ValidationError({"scopes": f"There is no scope {unknown[0][:50]!r}. Known: {', '.join(SCOPES)}."})
    if expires_at is not None and expires_at <= now:  # type: ignore[operator]
        raise ValidationError({"expires_at": "This time is over."})
    if lacking := sorted(scope for scope in scopes if not access.has(scope)):
        raise PermissionDenied(f"This token lacks {', '.join(lacking)}, so it cannot make one that has it.")
    if access.expires_at is not None and (expires_at is None or expires_at > access.expires_at):  # type: ignore[operator]
        raise PermissionDenied("This token cannot make one that lives longer than itself. Send an earlier expires_at.")
    alive = ApiToken.objects.filter(owner_id=request.user.pk, revoked_at=None)
    if alive.count() >= MOST_TOKENS:
        raise PermissionDenied(f"You have {MOST_TOKENS} tokens. Revoke some first.")


def _own(request: Request, text: str) -> ApiToken:
    try:
        pk = number(1, 2**63 - 1)(text)
    except ValueError:
        raise NotFound("There is no such token.") from None
    token = ApiToken.objects.filter(owner_id=request.user.pk, pk=pk).first()
    if token is None:
        raise NotFound("There is no such token.")
    return token


def _json(token: ApiToken) -> TokenJSON:
    return {
        "id": token.pk, "name": token.name, "prefix": token.prefix, "scopes": token.scopes,
        "created_at": moment(token.created_at), "expires_at": maybe_moment(token.expires_at),
        "revoked_at": maybe_moment(token.revoked_at), "last_used_at": maybe_moment(token.last_used_at),
    }  # fmt: skip
