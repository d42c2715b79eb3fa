"""Parts of the server: fetching without being led astray, memory that is shared out, settings, the command line."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi", reason="the server needs the extra 'serve'")
pytest.importorskip("openai", reason="tests/serving.py needs the openai client")

from serving import data_url, png

from varco_vision.cli import serve as cli
from varco_vision.errors import InputError
from varco_vision.serve.budget import Budget
from varco_vision.serve.faults import ApiError
from varco_vision.serve.fetch import PORTS, Fetcher, is_public
from varco_vision.serve.settings import Limits, Settings, check_image_host, read_keys

HOSTS = ("pictures.example.org", "other.example.org")


# --- fetching ------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answers by path; `seen` collects what was asked."""

    def do_GET(self):
        self.server.seen.append((self.headers["host"], self.path))
        status, headers, body = self.server.pages[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for piece in body if isinstance(body, list) else [body]:
                self.wfile.write(piece)
                self.wfile.flush()
                if isinstance(body, list):
                    threading.Event().wait(0.1)
        except OSError:
            pass  # the fetcher has had enough

    def log_message(self, *_):
        pass


@contextmanager
def web(pages, monkeypatch):
    """A web server on the loopback that stands for port 80 of every host."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.pages, server.seen = pages, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    real = socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda address, *a, **k: real((address[0], server.server_address[1]), *a, **k)
    )
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def fetcher(lookup=lambda *_: ["127.0.0.1"], allowed=lambda a: a == "127.0.0.1", hosts=HOSTS, **limits):
    limits = Limits(**{"fetch_time": 2.0, "fetch_bytes": 50_000, **limits})
    return Fetcher(Settings(image_hosts=hosts, limits=limits), lookup, allowed)


def refused(found, url):
    with pytest.raises(ApiError) as caught:
        found.picture(url, "messages.0")
    assert caught.value.status == 400 and caught.value.code == "invalid_image"
    return caught.value.message


GOOD = (200, {"content-type": "image/png"}, png(50, 30))


def test_a_picture_of_an_allowed_host(monkeypatch):
    with web({"/a.png": GOOD, "/old.png": (302, {"location": "/a.png"}, b"")}, monkeypatch) as server:
        assert fetcher().picture("http://pictures.example.org/a.png", "x").size == (50, 30)
        assert fetcher().picture("http://PICTURES.example.org./old.png", "x").size == (50, 30)
        assert [path for _, path in server.seen] == ["/a.png", "/old.png", "/a.png"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://pictures.example.org/a.png", "only data, http and https"),
        ("file:///etc/passwd", "only data, http and https"),
        ("gopher://pictures.example.org", "only data, http and https"),
        ("http://evil.example.com/a.png", "not one of those"),
        ("http://pictures.example.org.evil.com/a.png", "not one of those"),
        ("http://pictures.example.org@evil.com/a.png", "user name"),
        ("http://evil.com#@pictures.example.org/a.png", "not one of those"),
        ("http://evil.com\\@pictures.example.org/", "user name"),
        ("http://pictures.example.org:8080/a.png", "port 8080"),
        ("http://127.0.0.1/a.png", "not one of those"),
        ("http://2130706433/a.png", "not one of those"),
        ("http://[::1]/a.png", "not one of those"),
        ("http://[::1/a.png", "malformed"),
        ("http://pictures.example.org:99999/a.png", "malformed"),
        ("//pictures.example.org/a.png", "only data, http and https"),
    ],
)
def test_addresses_that_are_not_fetched(url, told, monkeypatch):
    with web({}, monkeypatch) as server:
        assert told in refused(fetcher(), url)
        assert not server.seen


def test_nothing_is_fetched_unless_hosts_are_named():
    def never(*_):
        raise AssertionError("the name was looked up")

    for url in ("http://pictures.example.org/a.png", "https://pictures.example.org/a.png"):
        assert "fetches nothing" in refused(fetcher(lookup=never, hosts=()), url)


def test_names_that_lead_into_the_private_network(monkeypatch):
    with web({"/a.png": GOOD}, monkeypatch) as server:
        for addresses in (["10.0.0.1"], ["93.184.216.34", "169.254.169.254"], ["::ffff:127.0.0.1"], [], ["::1"]):
            found = fetcher(lookup=lambda *_, a=addresses: a, allowed=is_public)
            assert "open internet" in refused(found, "http://pictures.example.org/a.png")
        assert not server.seen


def test_a_name_that_changes_its_mind_does_not_help(monkeypatch):
    """DNS rebinding: the address that was checked is the address that is connected to; there is no second look-up."""
    looked: list[str] = []
    connected: list[str] = []

    def lookup(host, port):
        looked.append(host)
        return ["127.0.0.1"] if len(looked) == 1 else ["10.0.0.1"]

    with web({"/a.png": GOOD}, monkeypatch):
        inner = socket.create_connection
        monkeypatch.setattr(
            socket,
            "create_connection",
            lambda address, *a, **k: connected.append(address[0]) or inner(address, *a, **k),
        )
        assert fetcher(lookup=lookup).picture("http://pictures.example.org/a.png", "x").size == (50, 30)
    assert looked == ["pictures.example.org"] and connected == ["127.0.0.1"]


def test_redirects_are_checked_like_first_addresses(monkeypatch):
    pages = {
        "/to-private": (302, {"location": "http://127.0.0.1/secret"}, b""),
        "/to-file": (302, {"location": "file:///etc/passwd"}, b""),
        "/to-port": (302, {"location": "http://other.example.org:22/"}, b""),
        "/to-other": (307, {"location": "http://other.example.org/a.png"}, b""),
        "/loop": (302, {"location": "/loop"}, b""),
        "/nowhere": (302, {}, b""),
        "/a.png": GOOD,
        "/secret": GOOD,
    }
    with web(pages, monkeypatch) as server:
        base = "http://pictures.example.org"
        assert "not one of those" in refused(fetcher(), f"{base}/to-private")
        assert "only data" in refused(fetcher(), f"{base}/to-file")
        assert "port 22" in refused(fetcher(), f"{base}/to-port")
        assert "more than 3 times" in refused(fetcher(), f"{base}/loop")
        assert "status 302" in refused(fetcher(), f"{base}/nowhere")
        assert fetcher().picture(f"{base}/to-other", "x").size == (50, 30)
        assert ("127.0.0.1", "/secret") not in server.seen
        inside = fetcher(lookup=lambda host, _: ["10.0.0.1"] if host == "other.example.org" else ["127.0.0.1"])
        assert "open internet" in refused(inside, f"{base}/to-other")


def test_what_is_sent_is_bounded(monkeypatch):
    pages = {
        "/large": (200, {}, b"x" * 60_000),
        "/packed": (200, {"content-encoding": "gzip"}, b"x"),
        "/slow": (200, {}, [b"x"] * 40),
        "/error": (500, {}, b""),
        "/text": (200, {}, b"hello"),
    }
    with web(pages, monkeypatch):
        base = "http://pictures.example.org"
        assert "50,000 bytes" in refused(fetcher(), f"{base}/large")
        assert "compressed" in refused(fetcher(), f"{base}/packed")
        assert "within 0.5 seconds" in refused(fetcher(fetch_time=0.5), f"{base}/slow")
        assert "status 500" in refused(fetcher(), f"{base}/error")
        assert "no picture" in refused(fetcher(), f"{base}/text")
    assert PORTS == {"http": 80, "https": 443}


def test_pixels_are_counted_before_they_are_decoded():
    assert fetcher().picture(data_url(png(50, 30)), "x", 1500).size == (50, 30)
    with pytest.raises(ApiError, match="1,499"):
        fetcher().picture(data_url(png(50, 30)), "x", 1499)


@given(st.ip_addresses(v=4))
def test_ipv6_forms_are_as_public_as_the_address_inside(address):
    mapped = f"::ffff:{address}"
    sixtofour = "2002:{:02x}{:02x}:{:02x}{:02x}::".format(*address.packed)
    nat64 = f"64:ff9b::{address}"
    assert is_public(mapped) == is_public(sixtofour) == is_public(nat64) == is_public(str(address))
    assert not (is_public(str(address)) and address.is_private)


# --- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_budget_is_never_overdrawn_and_nobody_starves(seed):
    async def run():
        chance = random.Random(seed)
        budget, ended, most = Budget(100), [], 0

        async def user(number, count, gives_up):
            nonlocal most
            try:
                async with asyncio.timeout(0.001 if gives_up else 30), budget.room(count) as held:
                    most = max(most, budget.held if count <= 100 else 0)
                    await asyncio.sleep(chance.random() * 0.003)
                    held.settle(count // 2)
                    await asyncio.sleep(chance.random() * 0.003)
            except TimeoutError:
                assert gives_up
            ended.append(number)

        await asyncio.gather(*(user(k, chance.choice([5, 60, 100, 250]), chance.random() < 0.3) for k in range(60)))
        assert sorted(ended) == list(range(60)) and budget.held == 0 and most <= 100

    asyncio.run(run())


# --- settings and the command line -----------------------------------------------------------------------------------


def test_settings_refuse_what_cannot_be_meant(tmp_path):
    for bad in ({"port": -1}, {"port": 70_000}, {"keys": ("short",)}, {"keys": ("key with blank",)}):
        with pytest.raises(InputError):
            Settings(**bad)
    for host in ("*", "*.example.org", "10.0.0.1", "localhost", "example.org:80", "http://example.org", "a b.org", ""):
        with pytest.raises(InputError, match="host names"):
            check_image_host(host)
    check_image_host("images.example.org")
    for limit in ({"body": 0}, {"waiting": 0}, {"request_time": 0.0}, {"request_time": float("nan")}):
        with pytest.raises(InputError, match="at least"):
            Limits(**limit)
    keys = tmp_path / "keys.txt"
    keys.write_text("# of the team\nfirst-key-1\n\nsecond-key\n")
    assert read_keys(keys) == ("first-key-1", "second-key")
    keys.write_text("# none\n")
    for path in (keys, tmp_path / "missing", tmp_path):
        with pytest.raises(InputError):
            read_keys(path)


@pytest.fixture
def run(capsys):
    from varco_vision.cli.main import main

    def call(*args):
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return call


def test_the_verbs_say_what_is_wrong(run, tmp_path, monkeypatch):
    assert run("serve", "--help")[0] == run("web", "--help")[0] == 0
    code, _, err = run("serve", "--port", "0", "--model", str(tmp_path / "none"))
    assert code == 2 and "none" in err
    code, _, err = run("serve", "--api-key-file", str(tmp_path / "none"))
    assert code == 2 and "API keys" in err
    code, _, err = run("serve", "--allow-image-host", "10.0.0.1")
    assert code == 2 and "host names" in err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = run("web", "--port", str(taken.getsockname()[1]))
        assert code == 2 and "choose another --port" in err
    code, _, err = run("serve", "--host", "203.0.113.7", "--port", "0")
    assert code == 2 and "cannot listen" in err
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None if name == "uvicorn" else object())
    code, _, err = run("serve")
    assert code == 2 and "uvicorn" in err and "varco-vision-open[serve]" in err


def test_the_extra_holds_what_the_verb_looks_for():
    import tomllib
    from pathlib import Path

    extras = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert {name.replace("-", "_") for name in extras["serve"]} == set(cli.NEEDED)


def test_host_names_follow_the_address(monkeypatch):
    monkeypatch.setenv(cli.KEY_VARIABLE, "key-from-outside")
    local = cli.settings("127.0.0.1", 1, "", None, ["gpu.local"])
    assert local.keys == ("key-from-outside",) and {"localhost", "127.0.0.1", "gpu.local"} <= set(local.own_names)
    monkeypatch.delenv(cli.KEY_VARIABLE)
    assert cli.settings("0.0.0.0", 1, "", None, None).own_names == ()
    assert not cli.settings("0.0.0.0", 1, "", None, None).local
