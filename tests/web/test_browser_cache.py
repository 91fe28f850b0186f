"""Files that a browser keeps, and those that it fetches again."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from lfdash.web.browser_cache import FOR_GOOD, KEPT, BrowserCache


async def answer(request: Request) -> Response:
    there = "missing" not in request.url.path
    return PlainTextResponse("text", 200 if there else 404, {"Cache-Control": "public"})


def test_only_files_that_never_change_are_kept() -> None:
    client = TestClient(BrowserCache(Starlette(routes=[Route("/{path:path}", answer)])))
    kept = (f"{KEPT}vega-1.js", f"/base{KEPT}vega-1.js")
    fetched = (f"{KEPT}missing.js", "/_stcore/bidi-components/lfdash.curves/curves.js", "/")
    assert {client.get(path).headers["Cache-Control"] for path in kept} == {FOR_GOOD}
    assert {client.get(path).headers["Cache-Control"] for path in fetched} == {"public"}
