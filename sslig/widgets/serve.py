"""Serves a page of widgets to browsers, by Voila: on this machine alone, or elsewhere behind a token."""

import argparse
import ipaddress
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat

from sslig.files import write_text
from sslig.study import Study, load
from sslig.widgets import annotator_sheet

PAGES = ("annotate", "explore")
TEMPLATES = Path(__file__).parent / "jupyter"
TEMPLATE = "sslig"
ANYWHERE = ("", "0.0.0.0", "::")
"""Addresses that stand for all of a machine."""

TOKEN = "JUPYTER_TOKEN"
"""The variable that Jupyter and Voila read a token from."""

LONELY_S = 600
"""A kernel whose page was closed without a word (a crash, a lost network) ends after so long."""

LARGEST_BYTES = 100 * 2**20
"""Of a message from a browser: a recording that is dropped in."""

EXTENSIONS = ["anywidget", "@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
"""Of JupyterLab, all that a page of widgets needs; what else is installed here stays out of it."""

POLICY = "; ".join([
    "default-src 'self' data: blob:",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # widgets arrive as modules in blobs
    "style-src 'self' 'unsafe-inline'",
    "connect-src 'self' data: blob:",
    "object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'self'",
])  # fmt: skip
"""What a page may load, and from where: from its own server alone, whatever stands in a comment."""


class ServingError(ValueError):
    """A page that cannot be served; the message says why and what is accepted."""


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches `address`, a name or a number.

    Raises
    ------
    ServingError
        The name is unknown.
    """
    if address in ANYWHERE:
        return False
    try:
        found = socket.getaddrinfo(address, None)
    except OSError as error:
        raise ServingError(f"address {address!r} is unknown: {error}") from error
    return all(ipaddress.ip_address(entry[4][0].split("%")[0]).is_loopback for entry in found)


def check_token(address: str, token: str) -> None:
    """Refuse an address that others reach where there is no token.

    Raises
    ------
    ServingError
        The address is not loopback and `token` is empty.
    """
    if not token and not is_loopback(address):
        raise ServingError(f"address {address!r} is reached from other machines, without a token; add --token, or "
                           f"set {TOKEN}, or serve on 127.0.0.1 and let others in by an ssh tunnel")  # fmt: skip


def parameterised(notebook: Path, target: Path, parameters: Mapping[str, Any]) -> Path:
    """Write a copy of `notebook` with `parameters` to `target`.

    Raises
    ------
    ServingError
        The notebook is missing or lacks one of the parameters.
    """
    import papermill
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    if not notebook.is_file():
        raise ServingError(f"{notebook}: no such notebook")
    known = list(papermill.inspect_notebook(str(notebook)))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ServingError(f"{notebook}: unknown parameter {unknown[0]!r}; known: {', '.join(known)}")
    write_text(target, nbformat.writes(parameterize_notebook(load_notebook_node(str(notebook)), dict(parameters))))
    return target


def settings(address: str, port: int, token: str, browser: bool = False) -> dict[str, dict[str, Any]]:
    """The values of Voila and Jupyter, by class, for a server at `address`.

    On loopback the name that a browser asked for is checked, so that no web page can reach the server under a name of
    its own that it lets point here (DNS rebinding). No file is served by its path, whatever it is called.
    """
    check_token(address, token)
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    application = {
        "allow_remote_access": not is_loopback(address),
        "local_hostnames": ["localhost"],
        "headers": headers,
        # A page that is closed ends its kernel by a request that Voila sends without the token against forged ones, so
        # that the kernel would stay. Whoever forges it has to know the kernel's random id, and come from this origin.
        "disable_check_xsrf": True,
        "websocket_max_message_size": LARGEST_BYTES,
    }
    page = {
        "template": TEMPLATE,
        "allow_template_override": "NO",
        "allow_theme_override": "NO",
        "extension_allowlist": EXTENSIONS,
        "file_allowlist": [],
        "file_denylist": [".*"],
        "strip_sources": True,
        "show_tracebacks": False,
    }
    network = {"ip": address, "port": port, "port_retries": 0, "token": token, "open_browser": browser}
    return {
        "Voila": network | {"tornado_settings": application},
        "VoilaConfiguration": page,
        "MappingKernelManager": {"cull_idle_timeout": LONELY_S, "cull_interval": 60, "cull_connected": False},
        # Sound is more than Jupyter's limit on what a kernel may print.
        "ZMQChannelsWebsocketConnection": {"limit_rate": False},
    }


def url(address: str, port: int, token: str) -> str:
    """Where a browser finds the page."""
    host = socket.gethostname() if address in ANYWHERE else f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/" + (f"?token={token}" if token else "")


def serve(notebook: Path, parameters: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> None:
    """Serve a copy of `notebook`, alone in a folder, with `parameters` and the `settings` until it is stopped."""
    # Before Voila is imported: it looks for templates where this points, and kernels take their threads from here.
    os.environ["JUPYTER_PATH"] = os.pathsep.join([str(TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from traitlets.config import Config
    from voila.app import Voila

    with tempfile.TemporaryDirectory(prefix="sslig-page-") as folder:
        copy = parameterised(notebook, Path(folder) / notebook.name, parameters)
        # Settings of other Voila servers on this machine must not open what is closed here.
        application = Voila(config=Config({name: dict(part) for name, part in values.items()}), config_file_paths=[])
        application.initialize([str(copy)])
        application.start()


def _elsewhere(task: Callable[[Study], None], experiment: Study) -> None:
    """Do `task` in a process that ends with it: the server lives for days, and needs no detectors in its memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(task, experiment).result()


def main() -> None:
    """Serve the annotator or the explorer of a study; what it needs is made first, where it is not there."""
    parser = argparse.ArgumentParser(prog="python -m sslig.widgets.serve", description=main.__doc__)
    parser.add_argument("experiment", help="an experiment file")
    parser.add_argument("--page", choices=PAGES, default=PAGES[0])
    parser.add_argument("--address", default="127.0.0.1", help="an address of this machine (127.0.0.1: itself alone)")
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--token", action="store_true", help=f"ask for a token, made now; one of your own: {TOKEN}")
    parser.add_argument("--open", action="store_true", help="open a browser")
    arguments = parser.parse_args()
    token = os.environ.get(TOKEN) or (secrets.token_urlsafe(32) if arguments.token else "")
    try:
        experiment = load(arguments.experiment)
        values = settings(arguments.address, arguments.port, token, arguments.open)
        if arguments.page == "annotate" and not annotator_sheet.ready(experiment):
            print("making what annotators see and hear", file=sys.stderr)
            _elsewhere(annotator_sheet.make, experiment)
        notebook = experiment.root / "notebooks" / f"{arguments.page}.ipynb"
        if arguments.token and not os.environ.get(TOKEN):
            print(f"open {url(arguments.address, arguments.port, token)}", flush=True)  # Voila does not show tokens
        serve(notebook, {"experiment": str(experiment.path)}, values)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
