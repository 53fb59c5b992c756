"""The service: what runs by itself next to a host, and what is asked of it from outside."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ecolyo_worker.worker import Worker

__all__ = ["asgi"]


def asgi(worker: "Worker", *, is_guarded: bool = False) -> "Starlette":
    """Give the HTTP face of a worker, to mount in a host's ASGI application.

    Clients show a token of `http.token_file`; raises `ConfigurationError` if there is none. With
    `is_guarded` the host says that it lets nobody through to it who may not use it; then no token
    is asked for. The host enters the worker; before and after that, requests get 503.
    """
    from ecolyo_worker.service.http import http_app  # the command line needs neither
    from ecolyo_worker.service.tokens import http_token

    return http_app(worker, None if is_guarded else http_token(worker.settings.http))
