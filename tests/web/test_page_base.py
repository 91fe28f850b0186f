"""Pages that tell a browser where Streamlit's own addresses are."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from lfdash.web.page_base import HEAD, SCRIPT, PageBase

PAGE = "<!DOCTYPE html><html><head><title>é</title></head><body><head></body></html>"


async def answer(request: Request) -> Response:
    kind = request.query_params.get("kind")
    if kind == "stream":
        return StreamingResponse(iter([PAGE.encode()[:60], PAGE.encode()[60:]]), media_type="text/html")
    if kind == "text":
        return PlainTextResponse(PAGE)
    if kind == "packed":
        return HTMLResponse(PAGE, headers={"Content-Encoding": "odd"})
    return HTMLResponse(PAGE, 404 if kind == "missing" else 200)


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", answer)], middleware=[Middleware(GZipMiddleware, minimum_size=10)])
    return TestClient(PageBase(app, ["runs", "app"]))


@pytest.mark.parametrize("path", ["/runs", "/runs/", "/some/proxy/runs", "/runs?kind=stream"])
def test_a_page_tells_it_once_and_says_how_long_it_is(client: TestClient, path: str) -> None:
    found = client.get(path)
    assert found.content == PAGE.encode().replace(HEAD, SCRIPT, 1)
    assert int(found.headers.get("content-length", len(found.content))) == len(found.content)


@pytest.mark.parametrize("path", ["/", "/runsx", "/runs/_stcore/health", "/runs?kind=missing", "/runs?kind=text"])
def test_all_else_stays_as_it_is(client: TestClient, path: str) -> None:
    assert client.get(path).text == PAGE


def test_what_is_packed_stays_packed(client: TestClient) -> None:
    with client.stream("GET", "/runs?kind=packed") as found:
        assert b"".join(found.iter_raw()) == PAGE.encode()
