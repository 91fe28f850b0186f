"""Who may reach the server: addresses to listen on, names it answers to, pages that may talk to it. Pure."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

LOOPBACK = "127.0.0.1"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Access:
    """Where the server listens and under which names it is known.

    host: the address to listen on. public: the address that people type where that is another one (behind a
    reverse proxy), "" = none. names: further names of this machine, lower case. signed_in: whether a sign-in is
    asked for; anyone: whether the user said that none is needed.
    """

    host: str = LOOPBACK
    public: str = ""
    names: tuple[str, ...] = ()
    signed_in: bool = False
    anyone: bool = False

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the port."""
        return not is_loopback(self.host)

    @property
    def shared(self) -> bool:
        """Whether others than the person who started it may use it."""
        return self.exposed or bool(self.public) or self.signed_in

    @property
    def refused(self) -> bool:
        """Whether it must not be served: other machines could reach it, and nobody would be asked who they are."""
        return self.exposed and not self.signed_in and not self.anyone

    @property
    def origin(self) -> str:
        """`https://box.example` of the public address; "" without one."""
        parts = urlsplit(self.public)
        return origin_of(parts) if self.public else ""

    @property
    def path(self) -> str:
        """The path of the public address, without slashes at its ends."""
        return urlsplit(self.public).path.strip("/")

    def knows(self, host: str | None) -> bool:
        """Whether a Host header names this server.

        Another name means that a page of that name has had it point here (DNS rebinding). A numeric address
        cannot be pointed elsewhere, so where other machines may come, any will do. The port is not looked at: a
        tunnel has its own.
        """
        name = host_name(host)
        if name is None:
            return False
        if is_loopback(name) or name in self.names:
            return True
        if self.public and name == urlsplit(self.origin).hostname:
            return True
        return self.exposed and (name == self.host.lower() or is_address(name))

    def trusts(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of that origin may talk to this server: it must be a page that came from it.

        `localhost:9999` is another origin than `localhost:8501`: what runs there may be anybody's.
        """
        parts = split(origin)
        if parts is None or parts.scheme not in PORTS or not parts.hostname or parts.path or parts.query:
            return False
        if self.public and origin_of(parts) == self.origin:
            return True
        if parts.hostname == urlsplit(self.origin).hostname and not is_loopback(parts.hostname):
            return False  # the public name under http instead of https is not ours
        return parts.netloc.lower() == (host or "").lower()


def origin_of(parts: SplitResult) -> str:
    """Scheme, host and port as a browser writes them: lower case, without the scheme's own port."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = parts.port is None or parts.port == PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if usual else f":{parts.port}")


def split(url: str | None) -> SplitResult | None:
    """The parts of a URL; None when it has no valid host and port, or a user in it."""
    try:
        parts = urlsplit(url or "")
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return None
    return parts if parts.hostname and "@" not in parts.netloc else None


def host_name(host: str | None) -> str | None:
    """The name in a Host header, lower case and without port; None when it is no host."""
    parts = split(f"//{host}" if host else None)
    if parts is None or parts.path or parts.query or parts.fragment or "\\" in parts.netloc:
        return None
    return (parts.hostname or "").rstrip(".") or None


def is_address(name: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether a host is this machine and nothing else: 127.0.0.0/8, ::1, localhost. Other spellings are not."""
    if name.lower() == "localhost":
        return True
    return is_address(name) and "%" not in name and ipaddress.ip_address(name).is_loopback


def public_url(text: str) -> str | None:
    """A public address as it is kept; None when it is none: http or https, a host, perhaps a path."""
    parts = split(text.strip())
    if parts is None or parts.scheme not in PORTS or parts.query or parts.fragment:
        return None
    return f"{origin_of(parts)}/{parts.path.strip('/')}".rstrip("/")


def machine_names() -> tuple[str, ...]:
    """The names that this machine gives itself, lower case."""
    return tuple({name.lower().rstrip(".") for name in (socket.gethostname(), socket.getfqdn()) if name})
