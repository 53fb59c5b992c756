"""Where the service listens: addresses as the settings write them, and sockets bound to them."""

import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from ecolyo_worker.errors import ConfigurationError

__all__ = ["Tcp", "Unix", "bound_tcp", "bound_unix", "parse_listen", "short_path"]

_ALLOWED = 'an address as "127.0.0.1:8787" or "[::1]:8787", "unix:/path/of/socket", or "" for none'
_PORT = re.compile(r"\d{1,5}", re.ASCII)


class Tcp(Struct, frozen=True):
    """A TCP address; port 0 stands for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


class Unix(Struct, frozen=True):
    """A socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


def parse_listen(text: str) -> Tcp | Unix | None:
    """Read `http.listen`, None for an empty one; raises `ConfigurationError` naming it."""
    if not text:
        return None
    kind, _, path = text.partition(":")
    if kind == "unix" and Path(path).is_absolute() and "\0" not in path and Path(path).name:
        return Unix(Path(path))
    host, _, port = text.rpartition(":")
    if _PORT.fullmatch(port) and int(port) < 65536:
        host = "127.0.0.1" if host == "localhost" else host
        with suppress(ValueError):
            if host.startswith("[") and host.endswith("]"):
                return Tcp(str(ipaddress.IPv6Address(host[1:-1])), int(port))
            return Tcp(str(ipaddress.IPv4Address(host)), int(port))
    raise ConfigurationError(f"http.listen: found {text!r}; allowed: {_ALLOWED}")


@contextmanager
def bound_tcp(address: Tcp) -> Iterator[socket.socket]:
    """Give a bound socket that does not listen yet; raises `OSError`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        yield sock


@contextmanager
def bound_unix(path: Path, *, is_ours: bool = False) -> Iterator[socket.socket]:
    """Give a bound socket that does not listen yet, for its owner only; its file goes afterwards.

    One that an earlier process left is replaced: at once if the path `is_ours`, because its lock
    is; else only if nobody answers there. Raises `OSError`.
    """
    with short_path(path) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        _remove_stale(short, is_ours=is_ours)
        sock.bind(short)
        # Nobody can connect before it listens, so that no moment's mode lets anybody in.
        os.chmod(short, 0o600)  # noqa: PTH101  the path is no real one
        own = os.lstat(short).st_ino
        try:
            yield sock
        finally:
            with suppress(OSError):
                if os.lstat(short).st_ino == own:
                    os.unlink(short)  # noqa: PTH108


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give another path of a socket, short enough for an address; raises `OSError`.

    An address has room for about 100 bytes, however long the names of directories are.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _remove_stale(path: str, *, is_ours: bool) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(0, "there is something that is no socket")
    if not is_ours and _answers(path):
        raise FileExistsError(0, "another process listens there")
    os.unlink(path)  # noqa: PTH108


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # so many wait that no more fit in
    return True
