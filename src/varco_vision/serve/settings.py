"""What a server allows: limits, time-outs, keys. Everything that a stranger could use up has a bound here."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from varco_vision.errors import InputError

MEBIBYTE = 2**20
KEY_LENGTH = 8  # characters; shorter keys are guessed
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
LOOPBACK_NAMES = frozenset(["localhost", "127.0.0.1", "::1"])


@dataclass(frozen=True)
class Limits:
    """Bounds of one request and of all together. Sizes in bytes, times in seconds.

    waiting: requests that may wait or run at once; one more is refused with 429. body_time: for the whole body to
    arrive. request_time: from the admission of a request to its last token. drain_time: for requests under way to end
    after SIGTERM.
    """

    body: int = 32 * MEBIBYTE
    pixels: int = 50_000_000
    pictures: int = 8
    messages: int = 256
    text: int = 200_000
    new_tokens: int = 4096
    choices: int = 4
    waiting: int = 64
    body_time: float = 30.0
    request_time: float = 300.0
    drain_time: float = 30.0
    fetch_bytes: int = 16 * MEBIBYTE
    fetch_time: float = 10.0
    redirects: int = 3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name == "redirects" else 1e-3 if isinstance(value, float) else 1
            if not value >= least:
                raise InputError(f"the limit {name} is {value}; it must be at least {least:g}")


@dataclass(frozen=True)
class Settings:
    """One server. `image_hosts` empty (the default): pictures come only inside requests, nothing is fetched.

    keys: whoever calls must send one of them; empty: no key is asked for. page: serve the web page too.
    own_names: accepted values of the Host header, empty for any; this is what stops a foreign page that lets its own
    name point to this machine (DNS rebinding).
    """

    host: str = "127.0.0.1"
    port: int = 8000
    name: str = ""
    keys: tuple[str, ...] = ()
    image_hosts: tuple[str, ...] = ()
    own_names: tuple[str, ...] = ()
    page: bool = False
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"the port is {self.port}; it must be 0 (any free one) to 65535")
        for key in self.keys:
            if len(key) < KEY_LENGTH or not key.isascii() or any(c.isspace() for c in key):
                raise InputError(f"an API key needs at least {KEY_LENGTH} ASCII characters without blanks")
        for host in self.image_hosts:
            check_image_host(host)

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_image_host(host: str) -> None:
    """Refuse what is no full host name: addresses, ports, paths and patterns."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if _HOST.fullmatch(host):
            return
    raise InputError(f"pictures may be fetched from host names such as images.example.org, not from {host!r}")


def read_keys(path: Path) -> tuple[str, ...]:
    """API keys of a file, one a line; empty lines and lines that begin with # do not count."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the API keys of {path}: {error}") from error
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise InputError(f"{path} holds no API key; write one a line")
    return keys
