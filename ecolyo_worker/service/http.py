"""The HTTP face (section 3 of the interfaces): events and facts come in, the state is told."""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ecolyo_worker import requests as ask
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import (
    ActorFailed,
    CommandRefused,
    ConfigurationError,
    EcolyoError,
    FactsRefused,
    InputRefused,
    IntakeFull,
    StateRefused,
    StoreUnavailable,
)
from ecolyo_worker.events import decode_object
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.secret import Secret
from ecolyo_worker.service import codes, metrics
from ecolyo_worker.service.bodies import split_events
from ecolyo_worker.service.readiness import Readiness
from ecolyo_worker.service.tokens import place_of
from ecolyo_worker.service.web import (
    Bounds,
    Refused,
    answer,
    application,
    error_answer,
    read_body,
)
from ecolyo_worker.worker import Worker

__all__ = ["http_app"]


def http_app(
    worker: Worker,
    token: TokenFile | None,
    bounds: Bounds | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Starlette:
    """Give the HTTP face of a worker; without a token it asks for none."""
    face = _Face(worker, bounds or Bounds(), is_stopping)
    instance = Route("/instances/{instance}", face.instance, methods=["GET", "PUT", "DELETE"])
    versioned = Router(
        [
            Route("/events", face.events, methods=["POST"]),
            instance,
            Route("/status", face.status, methods=["GET"]),
        ],
        redirect_slashes=False,
    )
    guard = Middleware(_Guard, worker=worker, token=token)
    routes = [
        Mount("/v1", app=versioned, middleware=[guard]),
        Route("/livez", face.livez, methods=["GET"]),
        Route("/readyz", face.readyz, methods=["GET"]),
        Route("/metrics", face.metrics, methods=["GET"]),
    ]
    return application(routes, {EcolyoError: _render}, worker.logger)


class _Guard:
    """Lets nobody in who does not show a token, and nobody at all before the worker is ready."""

    def __init__(self, app: ASGIApp, worker: Worker, token: TokenFile | None) -> None:
        self._app = app
        self._worker = worker
        self._token = token
        self._known: tuple[Secret, ...] = ()
        self._told: set[int] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._token is not None:
            self._check(self._token, dict(scope["headers"]).get(b"authorization", b""))
        if not self._worker.is_ready:
            message = "the service is starting or stopping; try again"
            raise Refused(codes.NOT_READY, message)
        await self._app(scope, receive, send)

    def _check(self, token: TokenFile, shown: bytes) -> None:
        try:
            tokens = token.read_all()
        except ConfigurationError as error:
            self._worker.logger.warning("no client can be let in", reason=str(error))
            message = "the service cannot read its token; its log says why"
            raise Refused(codes.MISCONFIGURED, message) from None
        scheme, _, given = shown.partition(b" ")
        place = place_of(given.strip(), tokens)
        if scheme.lower() != b"bearer" or place is None:
            message = "show the token of http.token_file: Authorization: Bearer …"
            raise Refused(codes.UNAUTHORIZED, message, headers={"www-authenticate": "Bearer"})
        self._tell(place, tokens)

    def _tell(self, place: int, tokens: tuple[Secret, ...]) -> None:
        """Log once who still shows a token below the first, each time the file was read."""
        if tokens is not self._known:
            self._known = tokens
            self._told = {0}
        if place not in self._told:
            self._told.add(place)
            self._worker.logger.info("a client shows a token below the first", place=place + 1)


class _Face:
    """The endpoints."""

    def __init__(self, worker: Worker, bounds: Bounds, is_stopping: Callable[[], bool]) -> None:
        self._worker = worker
        self._bounds = bounds
        self._readiness = Readiness(worker, bounds, is_stopping)

    @property
    def _commands(self) -> Commands:
        return Commands(self._worker)

    async def events(self, request: Request) -> Response:
        """Take events in: the answer comes when they are on disk."""
        if self._worker.settings.mode == "off":
            raise Refused(codes.MODE_OFF, "the mode is off (worker.mode): no event is taken")
        body = await read_body(request, self._bounds)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        texts = split_events(body, is_ndjson=kind == "application/x-ndjson")
        lines = [ask.Line(index, text) for index, text in enumerate(texts)]
        owner = _owner(request)
        report = await self._commands.events_import(ask.EventsImport(lines, owner))
        refused = [
            {"index": item.line, "field": item.field, "reason": item.reason}
            for item in report.refused
        ]
        found = {"accepted": report.accepted, "known": report.known, "refused": refused}
        return answer(found, 422 if refused and len(refused) == len(lines) else 200)

    async def instance(self, request: Request) -> Response:
        """Store, tell or delete what is known of a person."""
        name = str(request.path_params["instance"])
        if request.method == "PUT":
            facts = await self._facts(request, name)
            return answer(await self._put(facts, name))
        try:
            if request.method == "DELETE":
                return answer(await self._commands.instances_forget(name))
            return answer(await self._commands.instances_show(name))
        except CommandRefused as error:
            raise Refused(codes.NOT_FOUND, str(error)) from None

    async def _facts(self, request: Request, name: str) -> dict[str, Any]:
        facts = decode_object(await read_body(request, self._bounds))
        if facts.setdefault("instance", name) != name:
            raise FactsRefused("instance", "found another one than in the address; leave it out")
        return facts

    async def _put(self, facts: dict[str, Any], name: str) -> dict[str, object]:
        line = ask.Line(0, msgspec.json.encode(facts))
        # Who puts `"consent": null` to this very address says so; there is nothing to confirm.
        report = await self._commands.instances_import(ask.InstancesImport([line], True))
        for refusal in report.refused:
            raise FactsRefused(refusal.field, refusal.reason)
        return await self._commands.instances_show(name)

    async def status(self, _: Request) -> Response:
        """Tell what `status --json` prints."""
        return answer(await self._commands.status())

    async def livez(self, _: Request) -> Response:
        """Tell whether every actor shows life; that it is told at all, the event loop does."""
        actors = self._worker.health()
        dead = [actor.name for actor in actors if not actor.alive]
        if dead:
            return error_answer(codes.NOT_ALIVE, "some actors show no life", dead)
        # Not what they crashed with, for this is for anybody.
        told = [
            {"name": item.name, "state": item.state, "restarts": item.restarts} for item in actors
        ]
        return answer({"alive": True, "actors": told})

    async def metrics(self, _: Request) -> Response:
        """Tell numbers, in Prometheus' text format."""
        found = metrics.exposition(metrics.observe(self._worker))
        return Response(found, media_type=metrics.CONTENT_TYPE)

    async def readyz(self, _: Request) -> Response:
        """Tell whether requests can be answered now, and if not, why."""
        problems = await self._readiness.problems()
        if problems:
            first = problems[0]
            told = [{"code": one.code.name, "message": one.message} for one in problems]
            return error_answer(first.code, first.message, told)
        return answer({"ready": True})


def _owner(request: Request) -> str | None:
    """Give whose the events are that do not say so; a query of anything else is a mistake."""
    given = request.query_params.multi_items()
    if given and [name for name, _ in given] != ["instance"]:
        found = ", ".join(name for name, _ in given)
        message = f"found the query parameters {found}; allowed: instance, once"
        raise Refused(codes.INVALID_QUERY, message[:300])
    return given[0][1] if given else None


def _render(error: Exception) -> Response:
    """Say an error of ours as the client must know it."""
    if isinstance(error, InputRefused):
        details = [{"field": error.field, "reason": error.reason}]
        return error_answer(codes.REFUSED, str(error), details)
    if isinstance(error, IntakeFull):
        return error_answer(codes.BUSY, str(error))
    if isinstance(error, StoreUnavailable | StateRefused | ActorFailed):
        return error_answer(codes.UNAVAILABLE, str(error))
    return error_answer(codes.IMPOSSIBLE, str(error))
