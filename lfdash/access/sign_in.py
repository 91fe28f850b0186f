"""Signing in through an OpenID Connect provider: what `[auth]` of secrets.toml says, and who may use the dashboard."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lfdash.access.hosts import is_loopback, public_url
from lfdash.outcomes import Refused

CALLBACK = "/oauth2callback"
SHORTEST = 32  # characters of the cookie's key: whoever guesses it is everybody
NEEDED = ("client_id", "client_secret", "server_metadata_url")
# where anybody can have an account: a list of people is needed
OPEN_TO_ALL = re.compile(
    r"^https://accounts\.google\.com/|^https://appleid\.apple\.com/|^https://gitlab\.com/|^https://login\.yahoo\.com/"
    r"|^https://login\.microsoftonline\.com/(?:common|consumers|organizations)/",
    re.IGNORECASE,
)


# what names somebody for good, beside an address: the subject, and Microsoft's person and tenant
CLAIMS = ("sub", "oid", "tid")
IDENTITY = re.compile(r"(?:([^:@\s]+):)?(?:sub|oid|tid):\S+")


@dataclass(frozen=True)
class SignIn:
    """A sign-in that is set up.

    providers: their names in secrets.toml, "default" for the one without. users: who may come, as e-mail addresses and
    @domains, lower case, and identities (`sub:...`); empty or * = everybody whom the provider knows. public: the
    address in redirect_uri without its end, "" where that is this machine.
    """

    providers: tuple[str, ...]
    users: tuple[str, ...] = ()
    public: str = ""

    def admits(self, user: Mapping[str, Any]) -> bool:
        """Whether somebody may use the dashboard. user: the claims of the identity token, with is_logged_in."""
        if user.get("is_logged_in") is not True:
            return False
        if not self.users or "*" in self.users:
            return True
        names = set(identities(user))
        if len(self.providers) == 1:
            names |= {name.partition(":")[2] for name in names}
        return not names.isdisjoint(self.users) or self.lists_address(user)

    def lists_address(self, user: Mapping[str, Any]) -> bool:
        """Whether somebody's e-mail address is on the list, and theirs: where a provider does not say so, anybody may
        have typed it."""
        email = user.get("email")
        if not isinstance(email, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+", email) or not email.isascii():
            return False  # the lower case of other letters may be that of somebody else's address
        email = email.lower()
        return is_verified(user) and (email in self.users or f"@{email.partition('@')[2]}" in self.users)


def is_verified(user: Mapping[str, Any]) -> bool:
    """Whether the provider says that the e-mail address is the user's; some say it in words."""
    return user.get("email_verified") is True or user.get("email_verified") == "true"


def identities(user: Mapping[str, Any]) -> tuple[str, ...]:
    """The words by which somebody can be on the list without an address: `provider:sub:...`."""
    provider = user.get("provider")
    return tuple(f"{provider}:{name}:{user[name]}" for name in CLAIMS if isinstance(user.get(name), str))


def who(user: Mapping[str, Any]) -> str:
    """The name under which somebody is signed in."""
    return next((str(user[name]) for name in ("email", "name", "sub") if user.get(name)), "?")


def named_users(text: str) -> tuple[str, ...]:
    """Who is named in a text, with commas or spaces between. Addresses in lower case; identities have none."""
    words = filter(None, re.split(r"[,\s]+", text))
    return tuple(dict.fromkeys(word if IDENTITY.fullmatch(word) else word.lower() for word in words))


def wrong_user(users: tuple[str, ...], providers: Collection[str]) -> Refused | None:
    """What is wrong with a list of people; None when nothing is. With several providers, a subject must say whose."""
    for word in users:
        identity = IDENTITY.fullmatch(word)
        if identity and (identity[1] or "") not in (*providers, *([""] if len(providers) == 1 else [])):
            return Refused("auth_identity", {"what": word, "names": ", ".join(providers)})
        if not identity and word != "*" and not re.fullmatch(r"[^@\s]*@[^@\s]+", word):
            return Refused("auth_users", {"what": word})
    return None


def read(auth: Mapping[str, Any], users: tuple[str, ...]) -> SignIn | Refused:
    """The sign-in that `[auth]` describes, or what is wrong with it."""
    redirect = str(auth.get("redirect_uri", ""))
    base = redirect.removesuffix(CALLBACK)
    address = public_url(base.replace("{port}", "8501"))
    if base == redirect or address is None:
        return Refused("auth_redirect", {"what": redirect})
    if len(str(auth.get("cookie_secret", ""))) < SHORTEST:
        return Refused("auth_cookie", {"what": str(SHORTEST)})
    found = {name: part for name, part in auth.items() if isinstance(part, Mapping) and name != "client_kwargs"}
    if "client_id" in auth or not found:
        found = {"default": auth, **found}
    wrong = wrong_user(users, found)
    if wrong is not None:
        return wrong
    for name, part in found.items():
        missing = [key for key in NEEDED if not part.get(key)]
        if missing or "_" in name:
            return Refused("auth_provider", {"what": f"{name}: {', '.join(missing) or '_'}"})
        if not users and OPEN_TO_ALL.match(str(part["server_metadata_url"])):
            return Refused("auth_everybody", {"what": str(part["server_metadata_url"])})
    if importlib.util.find_spec("authlib") is None:
        return Refused("auth_package")
    local = is_loopback(urlsplit(address).hostname or "")
    return SignIn(tuple(found), users, "" if local else address)
