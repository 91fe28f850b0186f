"""A small OpenID Connect provider on loopback: everybody who comes is signed in as `claims` says."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey


class Provider:
    """claims: who signs in next; forge: signs with a key that is not the published one."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.forge = False
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.other = RSAKey.generate_key(2048, {"kid": "one"})
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.get(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.token(self, {key: value[0] for key, value in parse_qs(body).items()})

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        asked = {key: value[0] for key, value in parse_qs(parts.query).items()}
        if parts.path == "/authorize":
            code = f"code{len(self.codes)}"
            self.codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"]})
            handler.send_response(302)
            handler.send_header("Location", f"{asked['redirect_uri']}?{back}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif parts.path == "/keys":
            self.answer(handler, {"keys": [self.key.as_dict(private=False)]})
        else:
            self.answer(handler, {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                "code_challenge_methods_supported": ["S256"],
                "id_token_signing_alg_values_supported": ["RS256"], "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
            })

    def token(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        """Swaps a code for an identity token."""
        asked = self.codes.pop(form["code"])
        now = int(time.time())
        claims = {"iss": self.url, "aud": asked["client_id"], "sub": "1", "iat": now, "exp": now + 300, **self.claims}
        key = self.other if self.forge else self.key
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, {**claims, "nonce": asked["nonce"]}, key)
        self.answer(handler, {"access_token": "access", "token_type": "Bearer", "id_token": signed, "expires_in": 300})

    def answer(self, handler: BaseHTTPRequestHandler, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
