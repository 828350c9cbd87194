"""Who a client is behind a proxy: what `X-Forwarded-*` says counts only where a trusted proxy says it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = IPv4Network | IPv6Network


def client_address(environ: WSGIEnvironment) -> str:
    """Return the address of the client, as `TrustedProxies` around the caller decided it."""
    return environ.get("REMOTE_ADDR") or "unix"


class TrustedProxies:
    """A WSGI layer that believes the last entry of `X-Forwarded-*` if it comes from one of `networks`."""

    def __init__(self, app: WSGIApplication, networks: tuple[Network, ...]) -> None:
        self._app = app
        self._behind_proxy = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._networks = networks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        answer = self._behind_proxy if self._trusts(environ.get("REMOTE_ADDR", "")) else self._app
        return answer(environ, start_response)

    def _trusts(self, address: str) -> bool:
        try:
            peer = ip_address(address)
        except ValueError:  # a Unix socket has no address
            return False
        return any(peer in network for network in self._networks)
