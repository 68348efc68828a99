"""Who may ask the dashboard for anything, and what a browser may do with its answers."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: "
    "blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


@dataclass(frozen=True)
class Guard:
    """An ASGI application around another.

    A page of somebody else's that has its own name point at this host (DNS rebinding) asks with
    that name: only `names` may be asked for. What changes a study has to come from the page itself.

    Args:
        app: what is asked if all is well.
        names: of this host, as a browser has them in its address. An address of numbers is always
            one: nobody has that point elsewhere.
        token: that whoever asks has to know; empty if anybody may.
    """

    app: ASGIApp
    names: Collection[str]
    token: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        app: ASGIApp = self.app
        given = QueryParams(scope["query_string"]).get("token", "")
        if not self._is_named(headers.get("host", "")):
            app = PlainTextResponse("This is not a name that the dashboard answers to.\n", 421)
        elif scope["method"] not in ("GET", "HEAD") and not self._is_its_own(headers):
            app = PlainTextResponse("This did not come from the dashboard's own page.\n", 403)
        elif self.token and self._is_token(given) and scope["method"] == "GET":
            app = RedirectResponse(scope["path"], 303)  # or it would be sent on with the address
            # Not "strict": who comes from a link in a chat would be sent on without it.
            app.set_cookie(self.cookie, self.token, httponly=True, samesite="lax")
        elif self.token and not self._is_token(self._brought(headers)):
            app = PlainTextResponse("Open the address that the dashboard has printed.\n", 401)
        await app(scope, receive, with_headers)

    @property
    def cookie(self) -> str:
        """Its name: those of one host are shared by all of its ports."""
        return f"distune-{hashlib.sha256(self.token.encode()).hexdigest()[:8]}"

    def _brought(self, headers: Headers) -> str:
        """The token that a browser has kept, or that a program sends."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        return token if kind == "Bearer" else _cookie(headers, self.cookie)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _is_named(self, host: str) -> bool:
        name = re.sub(r":\d+$", "", host).strip("[]").lower()  # a tunnel may have another port
        try:
            return name in self.names or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _is_its_own(self, headers: Headers) -> bool:
        origin = headers.get("origin", "").partition("://")[2]
        return origin != "" and origin == headers.get("host")


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""
