"""Starts the dashboard's server on this host."""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from distune.dashboard.app import Dashboard
from distune.dashboard.guard import Guard
from distune.errors import UserError

_GRACE = 3  # seconds in which answers that are under way may be given at the end


class _Server(uvicorn.Server):
    """Ends what would go on for ever, before it waits for all answers to end."""

    def __init__(self, config: uvicorn.Config, dashboard: Dashboard) -> None:
        super().__init__(config)
        self._dashboard = dashboard

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._dashboard.end()
        await super().shutdown(sockets)


def serve(
    logs: Path, host: str, port: int, say: Callable[[str], None], *, acts: bool = False
) -> None:
    """Serve until it is interrupted.

    Args:
        say: is told the address.
        acts: whether who has the token may have studies changed.

    Raises:
        UserError: nothing can listen there.
    """
    listening = _listen(host, port)
    address, port = listening.getsockname()[:2]
    bound = ipaddress.ip_address(address)
    token = "" if bound.is_loopback and not acts else secrets.token_urlsafe(24)
    names = {"localhost"} if bound.is_loopback else {"localhost", *_names_of_this_host()}
    shown = socket.gethostname() if bound.is_unspecified else _in_address(address)
    query = f"?token={token}" if token else ""
    say(f"the studies in {logs}: http://{shown}:{port}/{query}  (Ctrl-C ends it)")
    dashboard = Dashboard(logs, acts)
    config = uvicorn.Config(
        Guard(dashboard.app, names, token),
        log_level="warning",
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE,
    )
    _Server(config, dashboard).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port or "
            "--host"
        ) from None


def _names_of_this_host() -> set[str]:
    name = socket.gethostname()
    return {name.lower(), socket.getfqdn(name).lower()}


def _in_address(address: str) -> str:
    return f"[{address}]" if ":" in address else address
