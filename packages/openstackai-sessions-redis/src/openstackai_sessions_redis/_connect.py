"""From settings to the driver's keyword arguments: time-outs on every wait, no retries of its own, TLS verified."""

from __future__ import annotations

from typing import Any

from openstackai_sessions_redis._errors import Failures
from openstackai_sessions_redis._settings import Settings

__all__ = ["connection_arguments", "failures_of"]


def connection_arguments(settings: Settings) -> dict[str, Any]:
    """What a connection takes, but for the `retry` policy, whose class differs between sync and async."""
    arguments: dict[str, Any] = {
        "username": settings.username,
        "password": settings.password,
        "socket_timeout": settings.options.timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "protocol": 2,
    }
    if settings.unix_socket_path is not None:
        return arguments | {"path": settings.unix_socket_path, "db": settings.db}
    arguments |= {"host": settings.host, "port": settings.port, "socket_keepalive": True}
    if not settings.cluster:
        arguments["db"] = settings.db
    if settings.ssl:
        arguments |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": settings.ssl_ca_certs,
            "ssl_certfile": settings.ssl_certfile,
            "ssl_keyfile": settings.ssl_keyfile,
        }
    return arguments


def failures_of(settings: Settings) -> Failures:
    """The maker of errors for this place. A given client's password is looked for too."""
    secrets = [settings.password]
    client = settings.client
    if client is not None:
        pool = getattr(client, "connection_pool", None)
        kwargs = getattr(pool, "connection_kwargs", None)
        if kwargs is None and hasattr(client, "get_connection_kwargs"):
            kwargs = client.get_connection_kwargs()
        if isinstance(kwargs, dict):
            secrets.append(kwargs.get("password"))
    return Failures(settings.place, tuple(secret for secret in secrets if isinstance(secret, str)))
