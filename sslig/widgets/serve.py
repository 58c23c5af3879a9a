"""The server of the annotator and the explorer, by Voila: for this machine alone, or for others with a token."""

import argparse
import ipaddress
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sslig.errors import InputError, PipelineError
from sslig.study import load

PAGES = ("annotate", "explore")
TEMPLATES = Path(__file__).parent / "jupyter"
ANYWHERE = ("", "0.0.0.0", "::")
"""Addresses that stand for all addresses of a machine."""

TOKEN = "JUPYTER_TOKEN"
"""Environment variable that Jupyter and Voila read a token from."""

IDLE_S = 600
"""Time after which a kernel ends whose page was lost without notice (a crash, a broken network)."""

EXTENSIONS = ["anywidget", "@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
"""The JupyterLab extensions that a page of widgets needs; no other is loaded."""

POLICY = (
    "default-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "  # widgets arrive as modules in blobs
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""A page loads from its own server only, even if text on it contains markup."""


class Proxy(NamedTuple):
    """What a proxy in front of the server makes of an address.

    `base_url` is the path of the pages in the browser, which the proxy takes off if it is `stripped`; `origin` is what
    the browser sees before it, such as ``https://listen.example.org``. A proxy that is `trusted` lets in only those
    who may see the pages, so that no token is needed.
    """

    base_url: str = "/"
    origin: str = ""
    stripped: bool = False
    trusted: bool = False


NO_PROXY = Proxy()


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches `address`, a name or a number."""
    if address in ANYWHERE:
        return False
    try:
        entries = socket.getaddrinfo(address, None)
    except OSError as error:
        raise InputError(f"address {address!r} is unknown: {error}") from error
    return all(ipaddress.ip_address(entry[4][0].split("%")[0]).is_loopback for entry in entries)


def settings(
    address: str, port: int, token: str, proxy: Proxy = NO_PROXY, kernels: int = 8
) -> dict[str, dict[str, Any]]:
    """The settings of Voila and Jupyter, by class, for a server at `address`, with at most so many `kernels`.

    On loopback the host name of each request is checked, so that a foreign web page cannot reach the server under a
    name that resolves to this machine (DNS rebinding). No file is served by its path.

    Raises
    ------
    InputError
        Other machines reach the address, or a proxy, and `token` is empty; or the proxy's addresses are faulty.
    """
    loopback = is_loopback(address)
    origin = urlsplit(proxy.origin)
    if proxy.origin and (origin.scheme not in ("http", "https") or not origin.hostname or origin.path not in ("", "/")):
        raise InputError(f"origin {proxy.origin!r}; needed is one such as https://listen.example.org")
    if proxy.origin and not token and not proxy.trusted:
        raise InputError(f"a proxy at {proxy.origin} passes others on, and there is no token; add --token or --trusted")
    if not token and not loopback:
        raise InputError(
            f"address {address!r} can be reached from other machines, and there is no token; add --token, or set "
            f"{TOKEN}, or serve on 127.0.0.1 and let others in through an ssh tunnel"
        )
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    tornado = {"allow_remote_access": not loopback, "local_hostnames": ["localhost"], "headers": headers}
    if proxy.origin:
        tornado["allow_origin"] = f"{origin.scheme}://{origin.netloc}"
        tornado["local_hostnames"].append(origin.hostname)
    tornado["websocket_max_message_size"] = 100 * 2**20
    # A closed page ends its kernel by a request that Voila sends without the XSRF token, so with the check the kernel
    # would stay. A forged request would need the random id of the kernel and this origin.
    tornado["disable_check_xsrf"] = True
    network = {"ip": address, "port": port, "port_retries": 0, "token": token, "open_browser": False}
    base_url = _path(proxy.base_url)
    network |= {"base_url": base_url, "server_url": "/" if proxy.stripped else base_url}
    visits = {
        "multi_kernel_manager_class": "sslig.widgets.visits.VisitKernels",
        "http_header_envs": ["X-Sslig-Visitor"],
    }
    template = {"template": "sslig", "allow_template_override": "NO", "allow_theme_override": "NO"}
    files = {"extension_allowlist": EXTENSIONS, "file_allowlist": [], "file_denylist": [".*"]}
    return {
        "Voila": network | {"tornado_settings": tornado},
        "VoilaConfiguration": template | files | visits | {"strip_sources": True, "show_tracebacks": False},
        "VisitKernels": {"most": kernels},
        "MappingKernelManager": {"cull_idle_timeout": IDLE_S, "cull_interval": 60, "cull_connected": False},
        # A recording exceeds Jupyter's limit on the output of a kernel.
        "ZMQChannelsWebsocketConnection": {"limit_rate": False},
    }


def url(address: str, port: int, token: str, proxy: Proxy = NO_PROXY) -> str:
    """Where a browser finds the page."""
    host = socket.gethostname() if address in ANYWHERE else f"[{address}]" if ":" in address else address
    origin = proxy.origin.rstrip("/") or f"http://{host}:{port}"
    return origin + _path(proxy.base_url) + (f"?token={token}" if token else "")


def _path(base_url: str) -> str:
    """A path that begins and ends with one slash."""
    return "/" + "".join(f"{part}/" for part in base_url.split("/") if part)


def serve(notebook: Path, parameters: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> None:
    """Serve a copy of `notebook`, alone in a folder, with `parameters` and `settings` until the server is stopped."""
    # Set before Voila is imported: it looks for templates here, and kernels inherit the number of threads.
    os.environ["JUPYTER_PATH"] = os.pathsep.join([str(TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import papermill
    from traitlets.config import Config

    from sslig.widgets.visits import Visits

    with tempfile.TemporaryDirectory(prefix="sslig-page-") as folder:
        copy = Path(folder) / notebook.name
        papermill.execute_notebook(notebook, copy, dict(parameters), prepare_only=True)
        # Configuration files of other Voila servers on this machine are not read.
        application = Visits(config=Config({name: dict(part) for name, part in values.items()}), config_file_paths=[])
        application.initialize([str(copy)])
        application.start()


def main(words: Sequence[str] | None = None) -> None:
    """Serve the annotator or the explorer of a study; missing results of the study are computed first."""
    from sslig.widgets import annotator

    parser = argparse.ArgumentParser(prog="python -m sslig.widgets.serve", description=main.__doc__)
    parser.add_argument("experiment", help="an experiment file")
    parser.add_argument("--page", choices=PAGES, default=PAGES[0])
    parser.add_argument("--address", default="127.0.0.1", help="an address of this machine (127.0.0.1: local only)")
    parser.add_argument("--port", type=int, default=8866)
    text = f"require a new random token; {TOKEN} sets a token of yours"
    parser.add_argument("--token", action="store_true", help=text)
    parser.add_argument("--utterance", help="what the explorer opens first: an utterance, or a sound file")
    parser.add_argument("--base-url", default="/", help="path of the page in the browser, behind a proxy")
    parser.add_argument("--stripped", action="store_true", help="the proxy takes --base-url off (JupyterHub does)")
    parser.add_argument("--origin", default="", help="what the browser sees, such as https://listen.example.org")
    parser.add_argument("--trusted", action="store_true", help="the proxy lets in only who may: no token is needed")
    parser.add_argument("--kernels", type=int, default=8, help="visitors at once, at most")
    arguments = parser.parse_args(words)
    token = os.environ.get(TOKEN) or (secrets.token_urlsafe(32) if arguments.token else "")
    try:
        study = load(arguments.experiment)
        proxy = Proxy(arguments.base_url, arguments.origin, arguments.stripped, arguments.trusted)
        values = settings(arguments.address, arguments.port, token, proxy, arguments.kernels)
        if arguments.page == "annotate":
            print("preparing the recordings for annotators", file=sys.stderr)
            # In a process that ends: the server runs for days and needs no detectors in its memory.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                pool.submit(annotator.make_sheet, study).result()
            os.environ[annotator.SERVED] = "1"
        if arguments.token and not os.environ.get(TOKEN):
            # Voila does not print tokens.
            print(f"open {url(arguments.address, arguments.port, token, proxy)}", flush=True)
        parameters = {"experiment": str(study.path)}
        if arguments.utterance:
            file = Path(arguments.utterance)
            parameters["utterance"] = str(file.resolve()) if file.is_file() else arguments.utterance
        serve(study.root / "notebooks" / f"{arguments.page}.ipynb", parameters, values)
    except (OSError, ValueError, PipelineError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
