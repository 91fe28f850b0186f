"""Tabs of a sign-in that ends: all of them, also when another dashboard ended it, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from lfdash.access.ended_sign_ins import EndedSignIns
from lfdash.web.sign_out import SignIns, asks_itself, token

ONE, TWO = "1" * 64, "2" * 64
SAID = {"type": "websocket.receive", "bytes": b"x"}
OVER = {"type": "websocket.close", "code": 1008}


class Page:
    """A tab's websocket: `heard` is what reached the app, `sent` what went to the browser."""

    def __init__(self, stuck: bool = False) -> None:
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.heard: list[str] = []
        self.sent: list[Any] = []
        self.stuck = stuck

    async def receive(self) -> Any:
        return await self.said.get()

    async def send(self, message: Any) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        self.sent.append(message)
        if message["type"] == "websocket.close":  # as uvicorn does
            self.said.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    async def app(self, _scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            self.heard.append(message["type"])
            await send({"type": "websocket.send", "bytes": b"y"})
        await send({"type": "websocket.send", "bytes": b"too late"})

    def open(self, sign_ins: SignIns, *marks: str) -> asyncio.Task[None]:
        return asyncio.create_task(sign_ins.serve(self.app, {}, self.receive, self.send, marks))


Play = Callable[[SignIns], Coroutine[Any, Any, None]]


def run(tmp_path: Path, play: Play) -> SignIns:
    sign_ins = SignIns(EndedSignIns(tmp_path / "ended"))
    asyncio.run(asyncio.wait_for(play(sign_ins), 20))
    return sign_ins


def test_all_tabs_of_a_sign_in_are_closed_and_no_others(tmp_path: Path) -> None:
    async def play(sign_ins: SignIns) -> None:
        pages = [Page(), Page(), Page(stuck=True), Page()]
        tasks = [page.open(sign_ins, ONE, TWO) for page in pages[:3]] + [pages[3].open(sign_ins, "3" * 64)]
        for page in (pages[0], pages[3]):
            page.said.put_nowait(SAID)
        while not pages[0].sent or not pages[3].sent:
            await asyncio.sleep(0)
        await sign_ins.end([TWO])
        await asyncio.gather(*tasks[:2])
        assert [page.sent[-1:] for page in pages[:3]] == [[OVER], [OVER], []] and OVER not in pages[3].sent
        pages[2].said.put_nowait(SAID)  # who does not take what is sent is not heard any more either
        await asyncio.wait(tasks[:3])
        assert pages[2].heard == [] and not tasks[3].done()
        pages[3].said.put_nowait({"type": "websocket.disconnect"})
        await tasks[3]

    assert run(tmp_path, play).tabs == {}


def test_what_another_dashboard_ended_is_over_with_the_next_message(tmp_path: Path) -> None:
    async def play(sign_ins: SignIns) -> None:
        page = Page()
        task = page.open(sign_ins, ONE)
        page.said.put_nowait(SAID)
        while not page.heard:
            await asyncio.sleep(0.01)
        EndedSignIns(tmp_path / "ended").add([ONE])
        page.said.put_nowait(SAID)
        await task
        assert len(page.heard) == 1 and page.sent[-1] == OVER

    run(tmp_path, play)


def test_a_disk_that_fails_lets_nobody_in_and_closes_no_tab(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "ended").write_text("no folder")

    async def play(sign_ins: SignIns) -> None:
        assert await sign_ins.is_over([ONE]) and not await sign_ins.is_over([])
        page = Page()
        task = page.open(sign_ins, ONE)
        page.said.put_nowait(SAID)
        while not page.heard:
            await asyncio.sleep(0.01)
        await sign_ins.end([ONE])  # it cannot be kept, and holds here
        await task
        assert await sign_ins.is_over([ONE], unseen=False)

    run(tmp_path, play)
    assert "did not keep it" in caplog.text


def test_only_a_page_of_ours_leads_to_the_way_out() -> None:
    def asks(**headers: str) -> bool:
        return asks_itself(Headers({name.replace("_", "-"): value for name, value in headers.items()}))

    assert asks(sec_fetch_site="same-origin", sec_fetch_dest="document")
    assert not asks(sec_fetch_site="same-origin", sec_fetch_dest="image") and not asks()
    assert not asks(sec_fetch_site="cross-site", sec_fetch_dest="document") and not asks(sec_fetch_site="none")
    assert len({token("a", [ONE]), token("b", [ONE]), token("a", [TWO]), token("a", []), token("a", [ONE, TWO])}) == 5
