import asyncio

import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError

from sslig.widgets.visits import STARTING_S, VARIABLE, VisitKernels


@pytest.fixture
def kernels(monkeypatch):
    """A manager of at most three kernels that are only names; `ended` lists those that were shut down."""

    async def start(self, **values):
        name = f"kernel{len(self.names)}"
        self.names.append(name)
        self._kernels[name] = self._kernel_connections[name] = 0
        return name

    async def shutdown(self, kernel_id, now=False, restart=False):
        self.ended.append(kernel_id)
        del self._kernels[kernel_id], self._kernel_connections[kernel_id]

    monkeypatch.setattr(AsyncMappingKernelManager, "start_kernel", start)
    monkeypatch.setattr(AsyncMappingKernelManager, "shutdown_kernel", shutdown)
    manager = VisitKernels(most=3)
    manager.names, manager.ended = [], []
    return manager


def visit(kernels, visitor):
    return asyncio.run(kernels.start_kernel(env={VARIABLE: visitor}))


def test_a_visitor_has_one_kernel(kernels):
    assert [visit(kernels, name) for name in ("ann", "bob", "ann")] == ["kernel0", "kernel1", "kernel2"]
    assert kernels.ended == ["kernel0"]
    assert kernels.list_kernel_ids() == ["kernel1", "kernel2"]


def test_the_oldest_kernel_whose_page_is_gone_makes_room(kernels):
    for name in ("ann", "bob", "cleo"):
        visit(kernels, name)
    kernels._kernel_connections["kernel0"] = 1
    with pytest.raises(HTTPError, match="3 visitors have this page open"):
        visit(kernels, "dan")  # two pages may still be loading
    kernels.started |= {name: kernels.started[name] - STARTING_S - 1 for name in kernels.list_kernel_ids()}
    assert visit(kernels, "dan") == "kernel3"
    assert kernels.ended == ["kernel1"]
