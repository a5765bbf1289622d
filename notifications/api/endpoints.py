"""`/api/v1/webhooks/endpoints`: receivers that people make themselves."""

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from notifications import access, endpoints, replays, statistics
from notifications.api import representation
from notifications.api.base import (
    ForceFields,
    HostFields,
    OverlapFields,
    RecoverFields,
    WebhookView,
    changed,
    flag,
    found,
    given,
    object_of,
    paging,
    private,
    seen,
)
from notifications.models import EndpointEvent, Replay
from tasks_app import keyset
from tasks_app.api.lookup import access_of
from tasks_app.api.renderers import json_response
from tasks_app.api.v1.query import Query, page_response
from tasks_app.api.v1.shapes import EmptyFields
from tasks_app.idempotency import idempotent, idempotent_secret

NEWEST = keyset.by_id("newest", descending=True)
NEWEST_LINE = keyset.by_number("newest", "id", descending=True)


class EndpointList(WebhookView):
    """`/api/v1/webhooks/endpoints`."""

    def get(self, request: Request) -> HttpResponse:
        """Lists your endpoints, newest first; an operator sees everybody's."""
        limit, cursor = paging(request)
        rows = access.endpoints_of(access_of(request)).select_related("owner")
        page = keyset.page([rows], NEWEST, cursor=cursor, limit=limit)
        return page_response(request, "endpoints", [representation.endpoint_json(row) for row in page.rows], page.next)

    @idempotent_secret
    def post(self, request: Request) -> HttpResponse:
        """Makes an endpoint and shows its secret, this once. At least `url` and `event_types`."""
        who = access_of(request)
        if not access.may_create(who):
            raise PermissionDenied("You may not make endpoints: that takes the role member or operator.")
        endpoint, secret = endpoints.create(who.user.pk, object_of(request.data), who=who.who)
        headers = {"Location": f"{settings.PATH_PREFIX}/api/v1/webhooks/endpoints/{endpoint.pk}"}
        body = {**representation.endpoint_json(endpoint), "secret": secret}
        return private(json_response(body, status=201, headers=headers))


class EndpointDetail(WebhookView):
    """`/api/v1/webhooks/endpoints/{endpoint_id}`."""

    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Reads an endpoint and how it fares."""
        Query(request, set()).check()
        endpoint = seen(request, endpoint_id)
        figures = representation.figures_json(statistics.of(endpoint))
        return json_response({**representation.endpoint_json(endpoint), "figures": figures})

    def patch(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Changes the fields that are sent. `new_host` drops the stored headers where the address has another host."""
        endpoint, wanted = changed(request, endpoint_id), object_of(request.data)
        new_host = given(HostFields(data=wanted))["new_host"]
        wanted.pop("new_host", None)
        endpoint = endpoints.change(endpoint.pk, wanted, who=access_of(request).who, new_host=new_host)
        return json_response(representation.endpoint_json(endpoint))

    def delete(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Ends it. The log of its deliveries goes too."""
        endpoints.delete(changed(request, endpoint_id).pk, who=access_of(request).who)
        return HttpResponse(status=204)


class EndpointPause(WebhookView):
    """`…/pause`."""

    @idempotent
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """From now on its events are held."""
        endpoint = changed(request, endpoint_id)
        given(EmptyFields(data=request.data))
        return json_response(representation.endpoint_json(endpoints.pause(endpoint.pk, who=access_of(request).who)))


class EndpointEnable(WebhookView):
    """`…/enable`."""

    @idempotent
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Sends again. A disabled one needs a test that was taken, or `force`; what was held stays held: recover it."""
        endpoint, wanted = changed(request, endpoint_id), given(ForceFields(data=request.data))
        endpoint = endpoints.enable(endpoint.pk, who=access_of(request).who, force=wanted["force"])
        return json_response(representation.endpoint_json(endpoint))


class EndpointTest(WebhookView):
    """`…/test`."""

    @idempotent
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Sends a `ping` once, within seconds, in whatever state it is. Read the delivery for what came of it."""
        endpoint = changed(request, endpoint_id)
        given(EmptyFields(data=request.data))
        delivery = endpoints.test(endpoint.pk, who=access_of(request).who)
        headers = {"Location": f"{settings.PATH_PREFIX}/api/v1/webhooks/deliveries/{delivery.pk}"}
        return json_response(representation.delivery_json(delivery, access_of(request)), status=202, headers=headers)


class SecretRotate(WebhookView):
    """`…/secret/rotate`."""

    @idempotent_secret
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Makes a new secret and shows it, this once. The old one signs too for `overlap_seconds`."""
        endpoint, wanted = changed(request, endpoint_id), given(OverlapFields(data=request.data))
        endpoint, secret = endpoints.rotate(endpoint.pk, who=access_of(request).who, **wanted)
        return private(json_response({**representation.endpoint_json(endpoint), "secret": secret}))


class SecretReveal(WebhookView):
    """`…/secret/reveal`."""

    @idempotent_secret
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Shows the owner the secrets, newest first. Who looked stays in the history."""
        endpoint = changed(request, endpoint_id)
        if not access.may_reveal(access_of(request), endpoint):
            raise PermissionDenied("Only its owner may see the secret. You may rotate it.")
        given(EmptyFields(data=request.data))
        shown = endpoints.reveal(endpoint.pk, who=access_of(request).who)
        secrets = [{"secret": kept.secret, "made_at": kept.made_at, "until": kept.until} for kept in shown]
        return private(json_response({"secrets": secrets}))


class SecretRevokeOld(WebhookView):
    """`…/secret/revoke-old`."""

    @idempotent
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Only the newest secret signs from now on."""
        endpoint = changed(request, endpoint_id)
        given(EmptyFields(data=request.data))
        return json_response(
            representation.endpoint_json(endpoints.revoke_old(endpoint.pk, who=access_of(request).who))
        )


class EndpointHistory(WebhookView):
    """`…/history`."""

    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Reads who changed it, looked at its secret, or why it was disabled, newest first."""
        limit, cursor = paging(request)
        lines = EndpointEvent.objects.filter(endpoint=seen(request, endpoint_id))
        page = keyset.page([lines], NEWEST_LINE, cursor=cursor, limit=limit)
        return page_response(request, "history", [representation.history_json(line) for line in page.rows], page.next)


class EndpointRecover(WebhookView):
    """`…/recover`."""

    @idempotent
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Sends what was held or failed since a time again, in the background; `preview` only counts it."""
        query = Query(request, {"preview"})
        preview = query.one("preview", flag, False)
        query.check()
        endpoint, wanted = changed(request, endpoint_id), given(RecoverFields(data=request.data))
        since, which = wanted["since"].astimezone(timezone.get_default_timezone()), wanted["which"]
        if preview or wanted["preview"]:
            return json_response({"total": replays.count(endpoint.pk, which=which, since=since)})
        replay = replays.start(endpoint.pk, which=which, since=since, who=access_of(request).who)
        headers = {"Location": f"{settings.PATH_PREFIX}/api/v1/webhooks/replays/{replay.pk}"}
        return json_response(representation.replay_json(replay), status=202, headers=headers)


class EndpointReplays(WebhookView):
    """`…/replays`."""

    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Lists the replays of an endpoint, newest first."""
        limit, cursor = paging(request)
        rows = Replay.objects.filter(endpoint=seen(request, endpoint_id))
        page = keyset.page([rows], NEWEST, cursor=cursor, limit=limit)
        return page_response(request, "replays", [representation.replay_json(row) for row in page.rows], page.next)


class ReplayDetail(WebhookView):
    """`/api/v1/webhooks/replays/{replay_id}`."""

    def get(self, request: Request, replay_id: str) -> HttpResponse:
        """Reads how far a replay is."""
        Query(request, set()).check()
        return json_response(representation.replay_json(_replay(request, replay_id)))


class ReplayCancel(WebhookView):
    """`…/cancel`."""

    @idempotent
    def post(self, request: Request, replay_id: str) -> HttpResponse:
        """Sets no more deliveries going. What is under way goes on."""
        replay = _replay(request, replay_id)
        changed(request, str(replay.endpoint_id))
        given(EmptyFields(data=request.data))
        if not replays.cancel(replay.pk):
            raise endpoints.EndpointRefused("It has ended already.")
        return json_response(representation.replay_json(_replay(request, replay_id)))


def _replay(request: Request, text: str) -> Replay:
    return found(Replay.objects.filter(endpoint__in=access.endpoints_of(access_of(request))), text, "replay")
