"""Visits to a page: one kernel a visitor, a bound on kernels, and none for what another web page asks for."""

import asyncio
import secrets
import time
from html import escape
from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError, authenticated
from traitlets import Integer
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

HEADER = "X-Sslig-Visitor"
VARIABLE = "HTTP_X_SSLIG_VISITOR"
"""How Voila passes a header on to the start of a kernel, in the environment."""

COOKIE = "sslig-visitor"
STARTING_S = 120
"""A kernel younger than this may still be drawing its page, and nothing is connected to it yet."""

NOTE = """<!DOCTYPE html><meta charset="utf-8"><title>{title}</title><body style="font-family: sans-serif; margin: 3em">
<p>{text}</p><p><a href="{url}">Open the page</a></p>"""


class VisitKernels(AsyncMappingKernelManager):
    """Kernels of visitors: a visitor's next kernel ends the one before, and at most `most` run at once."""

    most = Integer(8, config=True, help="Kernels at most; each needs the memory of a study's detectors")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.visitors: dict[str, str] = {}
        self.started: dict[str, float] = {}
        self.turn = asyncio.Lock()

    async def start_kernel(self, **values: Any) -> str:
        """Start a kernel; HTTP 503 where there is no room for it."""
        visitor = (values.get("env") or {}).get(VARIABLE) or secrets.token_urlsafe()
        async with self.turn:
            if (before := self.visitors.pop(visitor, None)) in self:
                await self.shutdown_kernel(before, now=True)
            await self._make_room()
            kernel = await super().start_kernel(**values)
            self.visitors[visitor], self.started[kernel] = kernel, time.monotonic()
        return kernel

    async def _make_room(self) -> None:
        """End the oldest kernels whose pages are gone."""
        old = time.monotonic() - STARTING_S
        ended = [name for name in self.list_kernel_ids() if not self._kernel_connections.get(name)]
        ended = sorted((self.started.get(name, 0.0), name) for name in ended)
        for start, name in ended:
            if len(self) >= self.most and start < old:
                await self.shutdown_kernel(name, now=True)
        if len(self) >= self.most:
            raise HTTPError(503, f"{self.most} visitors have this page open, which is the most; come back later")


class VisitHandler(TornadoVoilaHandler):
    """Serves the page, with a kernel, to a visitor who came by a link of this server, a bookmark or an address."""

    @authenticated
    async def get(self, path: str | None = None) -> None:
        """Serve the page; to a link on another site, a note with a link."""
        if self.request.headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site"):
            if self.request.headers.get("Sec-Fetch-Dest") != "document":
                raise HTTPError(403, "another web page asked for this one")
            text = {"title": "sslig", "text": "A link on another web page has led here."}
            self.finish(NOTE.format(**text, url=escape(self.request.uri.partition("?")[0] or "/", quote=True)))
            return
        visitor = self.get_cookie(COOKIE) or secrets.token_urlsafe()
        self.set_cookie(COOKIE, visitor, path=self.base_url, httponly=True, samesite="Lax")
        self.request.headers[HEADER] = visitor
        await super().get(path)


class Visits(Voila):
    """Voila with `VisitHandler` in place of its own handler."""

    def init_handlers(self) -> list[tuple]:
        """The handlers of Voila, with that of pages replaced."""
        handlers = super().init_handlers()
        return [(*item[:1], VisitHandler, *item[2:]) if item[1] is TornadoVoilaHandler else item for item in handlers]
