"""Pictures of a request: data URLs, and, from hosts that the operator allows, http addresses.

Fetching for strangers is dangerous: an address may lead into the private network, by a redirect, or by a name that
resolves to something else the second time. So the name is resolved once, every address it has must be public, and the
connection goes to the very address that was checked; each redirect begins anew.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore2 as httpcore
from PIL import Image

from varco_vision import pictures
from varco_vision.errors import InputError
from varco_vision.serve.faults import bad
from varco_vision.serve.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w-]+=[^;,]*)*)(;base64)?,", re.IGNORECASE)
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


def is_public(text: str) -> bool:
    """Whether an address is one of the open internet, looking through IPv6 forms that stand for an IPv4 address."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NAT64):
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if int(address) >> 32 == 0:  # ::a.b.c.d, the old way to write an IPv4 address
            return False
    return address.is_global and not address.is_multicast


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class TimedStream(httpcore.NetworkStream):
    """A connection on which a host cannot win time by sending a byte now and then."""

    def __init__(self, inner: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._inner, self._left = inner, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return TimedStream(self._inner.start_tls(ssl_context, server_hostname, self._left()), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class CheckedBackend(httpcore.NetworkBackend):
    """Connects to a name's address only after that very address was found to be public."""

    def __init__(self, lookup: Resolve, allowed: Callable[[str], bool], left: Callable[[], float]) -> None:
        self._inner, self._lookup, self._allowed, self._left = httpcore.SyncBackend(), lookup, allowed, left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._lookup(host, port)
        except (OSError, UnicodeError) as error:
            raise InputError(f"the host {host} of the picture is not known") from error
        if not addresses or not all(map(self._allowed, addresses)):
            raise InputError(f"the host {host} of the picture does not lead to the open internet; it is not fetched")
        stream = self._inner.connect_tcp(addresses[0], port, self._left(), local_address, socket_options)
        return TimedStream(stream, self._left)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise InputError("pictures are not fetched through sockets of this machine")


class Fetcher:
    """Reads the `url` of an image part. `lookup` and `allowed` are replaced by tests alone."""

    def __init__(
        self, settings: Settings, lookup: Resolve = resolve, allowed: Callable[[str], bool] = is_public
    ) -> None:
        self._hosts, self._limits = frozenset(settings.image_hosts), settings.limits
        self._lookup, self._allowed = lookup, allowed

    def picture(self, url: str, where: str, pixels: int | None = None) -> Image.Image:
        """The decoded picture of a data URL or an allowed http address, of at most `pixels`; `where` names the part.

        Blocks: to be called in a thread. Raises `ApiError` (400) for everything that the sender can mend.
        """
        try:
            content = self._data(url) if url[:5].lower() == "data:" else self._fetched(url)
            return pictures.load(content, max(0, self._limits.pixels if pixels is None else pixels), name="it")
        except InputError as error:
            raise bad(f"the picture of {where} cannot be used: {error}", where, "invalid_image") from error

    def _data(self, url: str) -> bytes:
        head = _DATA.match(url, endpos=1024)
        if head is None or not head[3]:
            raise InputError("a data URL must look like data:image/png;base64,...")
        try:
            return base64.b64decode(re.sub(r"[\s]+", "", url[head.end() :]), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError(f"its base64 text is damaged ({error})") from error

    def _fetched(self, url: str) -> bytes:
        deadline = time.monotonic() + self._limits.fetch_time
        for _ in range(self._limits.redirects + 1):
            self._check(url)
            status, headers, content = self._get(url, deadline)
            if status == 200:
                return content
            target = headers.get("location", "")
            if status not in REDIRECTS or not target:
                raise InputError(f"its host answered with status {status}")
            url = urljoin(url, target)
        raise InputError(f"its host redirects more than {self._limits.redirects} times")

    def _check(self, url: str) -> None:
        """The policy on addresses that needs no look-up."""
        if not self._hosts:
            raise InputError("this server fetches nothing; send the picture itself as data:image/png;base64,...")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise InputError(f"its address is malformed ({error})") from error
        if parts.scheme not in PORTS:
            raise InputError(f"its address begins with {parts.scheme[:20]!r}; only data, http and https are read")
        if parts.username is not None or parts.password is not None:
            raise InputError("its address holds a user name or a password")
        if host not in self._hosts:
            raise InputError(f"the host {host[:100]!r} is not one of those that this server fetches from")
        if port not in (None, PORTS[parts.scheme]):
            raise InputError(f"port {port} is not fetched from; only {PORTS[parts.scheme]} is for {parts.scheme}")

    def _get(self, url: str, deadline: float) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request. Nothing is unpacked, and the time and size are bounded."""

        def left() -> float:
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise InputError(f"it did not arrive within {self._limits.fetch_time:g} seconds")
            return rest

        asked = [("accept", "image/*"), ("accept-encoding", "identity"), ("user-agent", "varco-vision")]
        backend = CheckedBackend(self._lookup, self._allowed, left)
        try:
            with (
                httpcore.ConnectionPool(network_backend=backend, max_connections=1) as pool,
                pool.stream("GET", url, headers=[*asked]) as response,
            ):
                headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
                if response.status != 200:
                    return response.status, headers, b""
                if headers.get("content-encoding", "identity").lower() != "identity":
                    raise InputError("its host sent it compressed, which was not asked for")
                content = bytearray()
                for chunk in response.iter_stream():
                    content += chunk
                    if len(content) > self._limits.fetch_bytes:
                        raise InputError(f"it has more than the {self._limits.fetch_bytes:,} bytes allowed")
                return 200, headers, bytes(content)
        except httpcore.TimeoutException as error:
            raise InputError(f"it did not arrive within {self._limits.fetch_time:g} seconds") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError) as error:
            raise InputError(f"it could not be fetched ({type(error).__name__})") from error
