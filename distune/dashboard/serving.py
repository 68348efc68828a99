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


def serve(logs: Path, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until it is interrupted.

    Raises:
        UserError: nothing can listen there.
    """
    try:
        listening = socket.create_server((host, port), family=_family(host))
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port"
        ) from None
    port = listening.getsockname()[1]
    is_local = ipaddress.ip_address(host).is_loopback
    token = "" if is_local else secrets.token_urlsafe(24)
    name = "localhost" if is_local else socket.gethostname()
    hosts = {f"{one}:{port}" for one in (name, socket.gethostname(), _in_address(host))}
    app = Guard(Dashboard(logs).app, hosts, token)
    query = f"?token={token}" if token else ""
    say(f"the studies in {logs}: http://{_in_address(host)}:{port}/{query}  (Ctrl-C ends it)")
    config = uvicorn.Config(app, log_level="warning", server_header=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
