"""The server of pages under real requests: what it serves, what it refuses, and when it does not start."""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import websocket

from sslig.errors import InputError
from sslig.widgets import serve
from sslig.widgets.serve import TOKEN

REPOSITORY = Path(__file__).resolve().parents[1]
SECRET = "not for browsers"
CODE = f"""
import os
from pathlib import Path
Path("page.flac").write_text("{SECRET}")
Path("page.png").write_text("{SECRET}")
os.symlink("{__file__}", "link.png")
print("experiment:", experiment)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study without detectors, with one page."""
    root = tmp_path_factory.mktemp("study")
    code = nbformat.v4.new_code_cell
    page = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        cells=[code('experiment = "e"  # a file', metadata={"tags": ["parameters"]}), code(CODE)],
    )
    nbformat.write(page, root / "page.ipynb")
    return root


START = """
import sys
from pathlib import Path
from sslig.widgets import serve
notebook, port, token = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
proxy = serve.Proxy(*eval(sys.argv[4]))
serve.serve(notebook, {"experiment": "given"}, serve.settings("127.0.0.1", port, token, proxy))
"""


@contextmanager
def running(folder, free_port, token="", proxy=serve.NO_PROXY):
    """Run a server of the page as a process; yields its port."""
    port = free_port()
    with (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-c", START, str(folder / "page.ipynb"), str(port), token, str(tuple(proxy))]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _wait(port, process):
    for _ in range(900):
        try:
            return get(port, "/voila/files/x")
        except OSError:
            assert process.poll() is None
            time.sleep(0.1)
    raise AssertionError("the server did not start within 90 s")


def get(port, path, **headers):
    """Status, headers and text of one request, its path sent as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode("utf-8", "replace")


@pytest.fixture(scope="module")
def server(folder, free_port):
    """A server for a user whose own voila.json, which must not be read, allows every file."""
    (folder / "voila.json").write_text('{"VoilaConfiguration": {"file_allowlist": [".*"], "file_denylist": []}}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_CONFIG_PATH", str(folder))
        with running(folder, free_port) as port:
            yield port


@pytest.fixture(scope="module")
def page(server):
    return get(server, "/")


def loaded_from_elsewhere(text):
    return re.findall(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["'](?:https?:|//)[^"']*""", text)


def kernel_of(page):
    config = re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', page[2], re.DOTALL)[1]
    return json.loads(config)["kernelId"]


def test_the_page_is_served_with_its_parameters_and_without_its_code(page):
    status, headers, text = page
    assert status == 200
    assert "experiment: given" in text
    assert "os.symlink" not in text
    assert "connect-src 'self'" in headers["Content-Security-Policy"]
    assert loaded_from_elsewhere(text) == []


PATHS = """
/page.ipynb /page.png /page.flac /link.png /voila/files/page.ipynb /voila/files/page.png /voila/files/page.flac
/voila/files/link.png /voila/files/PAGE.PNG /files/page.flac /static/page.png /voila/files/../page.png
/voila/files/..%2f..%2f{away} /voila/files/%2e%2e/%2e%2e/{away} /voila/files//{away} /voila/files/....//{away}
/voila/files/..%5c{away} /voila/files/%00{away} /{away} //{away} /%2e%2e/{away}
/voila/static/../../../../../../../../../..{away} /voila/static/{away} /voila/static/%2e%2e/%2e%2e/{away}
/voila/templates/..{away} /voila/templates/../static/../../../../../../../..{away}
/voila/templates/lab/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..{away} /voila/templates/sslig/static/{away}
/voila/templates/%2e%2e/static/{away} /voila/labextensions/../../../../../../../..{away}
/voila/labextensions/%2e%2e/%2e%2e/{away} /voila/api/themes/../../../../../../../..{away} /voila/api/contents/
/api/contents/ /api/contents/page.ipynb /api/kernels /api/kernelspecs /api/terminals /voila/tree /voila/tree/..
/voila/render/page.ipynb /lab /notebooks/page.ipynb /edit/page.ipynb
"""


@pytest.mark.parametrize("path", PATHS.split())
def test_no_file_is_served_by_its_path(server, page, path):
    status, headers, text = get(server, path.format(away=__file__))
    assert SECRET not in text
    if status == 302:  # Voila sends any other path to where it would serve files, on this server
        assert headers["Location"].startswith("/voila/files/")
        status, _, text = get(server, headers["Location"])
        assert SECRET not in text
    assert status in (400, 403, 404, 500)


def test_only_names_of_this_machine_are_answered(server):
    assert get(server, "/", Host=f"evil.example:{server}")[0] == 403
    assert get(server, "/", Host=f"localhost:{server}")[0] == 200


def test_another_web_page_starts_no_kernel(server):
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}
    assert get(server, "/", **image)[0] == 403
    status, _, text = get(server, "/?a=%22%3E%3Cb", **image | {"Sec-Fetch-Dest": "document"})
    assert status == 200
    assert '<a href="/">Open the page</a>' in text
    assert "kernelId" not in text


def connect(port, kernel, **options):
    return websocket.create_connection(
        f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels?session_id=s", 20, **options
    )


@pytest.mark.parametrize("host", [{}, {"host": "evil.example"}])
def test_no_other_site_can_talk_to_a_kernel(server, page, host):
    with pytest.raises(websocket.WebSocketBadStatusException, match=r"403|404"):
        connect(server, kernel_of(page), origin="http://evil.example", **host)


def message(kind, content):
    header = {"msg_id": uuid.uuid4().hex, "session": "s", "username": "u", "date": "", "msg_type": kind}
    header["version"] = "5.3"
    return json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"})


def test_a_browser_cannot_run_code(server, page, folder):
    mark = folder / "ran"
    talk = connect(server, kernel_of(page), origin=f"http://127.0.0.1:{server}")
    talk.send(message("execute_request", {"code": f"open({str(mark)!r}, 'w')", "silent": False}))
    talk.send(message("kernel_info_request", {}))
    while json.loads(talk.recv())["msg_type"] != "kernel_info_reply":
        pass  # the kernel answers in order, so the first request has been handled
    talk.close()
    assert not mark.exists()


def post(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, headers=headers)
    return connection.getresponse().status


def test_a_closed_page_ends_its_kernel_and_no_other_site_can(server, folder):
    path = f"/voila/api/shutdown/{kernel_of(get(server, '/'))}"
    assert post(server, path, Origin="http://evil.example") == 404
    assert post(server, path, Host="evil.example", Origin="http://evil.example") == 403
    assert post(server, f"/voila/api/shutdown/{uuid.uuid4()}") == 404
    assert post(server, path, Origin=f"http://127.0.0.1:{server}") == 204
    assert post(server, path, Origin=f"http://127.0.0.1:{server}") == 404  # it is gone


def test_a_token_is_asked_for_by_page_and_kernel(folder, free_port):
    token = "a-token-of-this-test"
    with running(folder, free_port, token) as port:
        status, headers, _ = get(port, "/")
        assert (status, headers["Location"].split("?")[0]) == (302, "/login")
        assert get(port, "/?token=wrong")[0] == 302
        page = get(port, f"/?token={token}")
        assert page[0] == 200
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            connect(port, kernel_of(page), origin=f"http://127.0.0.1:{port}")
        assert post(port, f"/voila/api/shutdown/{kernel_of(page)}") == 403
        assert get(port, "/voila/files/page.png")[0] == 403
        assert loaded_from_elsewhere(get(port, "/login")[2]) == []
    assert token not in (folder / "log.txt").read_text()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback_needs_no_token(address):
    assert not serve.settings(address, 8866, "")["Voila"]["tornado_settings"]["allow_remote_access"]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_other_addresses_need_a_token(address):
    assert serve.settings(address, 8866, "token")["Voila"]["tornado_settings"]["allow_remote_access"]
    with pytest.raises(InputError, match="reached from other machines, and there is no token; add --token, or set"):
        serve.settings(address, 8866, "")


def test_a_proxy_needs_a_plain_origin_and_a_token_or_trust():
    proxy = serve.Proxy("sslig", "https://listen.example.org", stripped=True)
    values = serve.settings("127.0.0.1", 8866, "token", proxy)
    assert (values["Voila"]["base_url"], values["Voila"]["server_url"]) == ("/sslig/", "/")
    tornado = values["Voila"]["tornado_settings"]
    assert tornado["allow_origin"] == "https://listen.example.org"
    assert tornado["local_hostnames"] == ["localhost", "listen.example.org"]
    assert serve.url("127.0.0.1", 8866, "x", proxy) == "https://listen.example.org/sslig/?token=x"
    with pytest.raises(InputError, match="passes others on, and there is no token; add --token or --trusted"):
        serve.settings("127.0.0.1", 8866, "", proxy)
    assert serve.settings("127.0.0.1", 8866, "", proxy._replace(trusted=True))
    with pytest.raises(InputError, match="needed is one such as https://"):
        serve.settings("127.0.0.1", 8866, "token", serve.Proxy(origin="listen.example.org"))


@pytest.fixture
def nginx(tmp_path, free_port):
    """Starts nginx with the example of the book in front of a port, under TLS; yields a function that does."""
    if not (shutil.which("nginx") and shutil.which("openssl")):
        pytest.skip("no nginx and openssl here")
    processes = []

    def start(behind):
        port, example = free_port(), (REPOSITORY / "book" / "own_data.md").read_text(encoding="utf-8")
        site = re.search(r"```nginx\n(.*?)```", example, re.DOTALL)[1]
        changes = {"443": str(port), "8866": str(behind), "/etc/ssl/listen": str(tmp_path / "listen")}
        for old, new in changes.items():
            assert old in site
            site = site.replace(old, new)
        request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=listen.example.org", "-days", "2"]
        files = ["-keyout", str(tmp_path / "listen.key"), "-out", str(tmp_path / "listen.pem")]
        subprocess.run(["openssl", *request, *files], check=True, capture_output=True)
        places = [f"{name}_temp_path {tmp_path};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
        head = f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}"
        conf = f"{head} http {{ access_log off; {' '.join(places)} {site} }}"
        (tmp_path / "nginx.conf").write_text(conf)
        processes.append(subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]))
        return port

    yield start
    for process in processes:
        process.terminate()
        process.wait(20)


def test_page_and_kernel_are_reached_through_nginx_as_the_book_sets_it_up(folder, free_port, nginx):
    proxy = serve.Proxy("/sslig/", "https://listen.example.org", trusted=True)
    with running(folder, free_port, proxy=proxy) as behind:
        port, trusting = nginx(behind), ssl._create_unverified_context()
        for _ in range(100):  # until nginx listens
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=trusting)
            try:
                connection.request("GET", "/sslig/", headers={"Host": "listen.example.org"})
                break
            except OSError:
                time.sleep(0.1)
        answer = connection.getresponse()
        page = (answer.status, {}, answer.read().decode())
        assert page[0] == 200
        assert '"baseUrl": "/sslig/"' in page[2]
        address = f"wss://127.0.0.1:{port}/sslig/api/kernels/{kernel_of(page)}/channels?session_id=s"
        options = {"host": "listen.example.org", "sslopt": {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}}
        websocket.create_connection(address, 20, origin="https://listen.example.org", **options).close()
        with pytest.raises(websocket.WebSocketBadStatusException, match=r"403|404"):
            websocket.create_connection(address, 20, origin="https://evil.example", **options)


def test_the_address_of_a_page():
    assert serve.url("127.0.0.1", 8866, "") == "http://127.0.0.1:8866/"
    assert serve.url("::1", 80, "secret") == "http://[::1]:80/?token=secret"
    assert serve.url("0.0.0.0", 80, "") == f"http://{socket.gethostname()}:80/"


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match=r"'no\.such\.name\.invalid' is unknown"):
        serve.settings("no.such.name.invalid", 8866, "token")


def test_the_command_line_refuses_in_one_line(monkeypatch, experiment):
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setattr(sys, "argv", ["serve", str(experiment.path), "--address", "0.0.0.0"])
    with pytest.raises(SystemExit, match=r"error: address '0\.0\.0\.0' can be reached from other machines"):
        serve.main()
