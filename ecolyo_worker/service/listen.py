"""Where the service listens: addresses as the settings write them, and sockets bound to them."""

import errno
import grp
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from ecolyo_worker.errors import AddressUnavailable, ConfigurationError, EcolyoError
from ecolyo_worker.section import wrong
from ecolyo_worker.settings import Http

__all__ = [
    "OWNER_ONLY",
    "Access",
    "Tcp",
    "Unix",
    "bound_tcp",
    "bound_unix",
    "not_listening",
    "parse_access",
    "parse_listen",
    "short_path",
]

_ALLOWED = 'an address as "127.0.0.1:8787" or "[::1]:8787", "unix:/path/of/socket", or "" for none'
# An address has room for 107 bytes; `short_path` takes some 20 of them.
_LONGEST_NAME = 80
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


class Access(Struct, frozen=True):
    """Who may use a socket in the file system."""

    mode: int = 0o600
    group: str | None = None
    """The group that it belongs to; None for the process's own."""


OWNER_ONLY = Access()


def parse_access(settings: Http) -> Access:
    """Read `http.socket_mode` and `http.socket_group`; raises `ConfigurationError` naming it."""
    if settings.socket_group is not None:
        _group_id(settings.socket_group)
    return Access(int(settings.socket_mode, 8), settings.socket_group)


def parse_listen(text: str) -> Tcp | Unix | None:
    """Read `http.listen`, None for an empty one; raises `ConfigurationError` naming it."""
    if not text:
        return None
    kind, _, path = text.partition(":")
    if kind == "unix" and Path(path).is_absolute() and "\0" not in path and Path(path).name:
        if len(os.fsencode(Path(path).name)) > _LONGEST_NAME:
            allowed = (
                f"a socket whose name, behind the last slash, has {_LONGEST_NAME} bytes at most"
            )
            raise wrong("http.listen", text, allowed)
        return Unix(Path(path))
    host, _, port = text.rpartition(":")
    if _PORT.fullmatch(port) and int(port) < 65536:
        host = "127.0.0.1" if host == "localhost" else host
        with suppress(ValueError):
            if host.startswith("[") and host.endswith("]"):
                return Tcp(str(ipaddress.IPv6Address(host[1:-1])), int(port))
            return Tcp(str(ipaddress.IPv4Address(host)), int(port))
    raise wrong("http.listen", text, _ALLOWED)


@contextmanager
def bound_tcp(address: Tcp) -> Iterator[socket.socket]:
    """Give a bound socket that does not listen yet; raises `OSError`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Unless TCP is named asyncio does not set TCP_NODELAY, and answers wait up to 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        yield sock


@contextmanager
def bound_unix(
    path: Path, access: Access = OWNER_ONLY, *, is_ours: bool = False
) -> Iterator[socket.socket]:
    """Give a bound socket that does not listen yet; its file goes afterwards.

    One that an earlier process left is replaced: at once if the path `is_ours`, because its lock
    is; else only if nobody answers there. Raises `OSError`, and `ConfigurationError` for a group
    that this process may not give it to.
    """
    with short_path(path) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        _remove_stale(short, is_ours=is_ours)
        sock.bind(short)
        own = os.lstat(short).st_ino
        try:
            _let_in(short, access)
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


def not_listening(address: Tcp | Unix, error: OSError) -> EcolyoError:
    """Give the error for an address of `http.listen` that cannot be bound."""
    words = f"http.listen: {address} cannot be listened on: {error.strerror}"
    if error.errno in {errno.EADDRINUSE, errno.EADDRNOTAVAIL}:
        return AddressUnavailable(words)
    if isinstance(error, PermissionError) and isinstance(address, Tcp):
        words += "; take a port from 1024 on, or let a proxy listen on this one"
    return ConfigurationError(words)


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        allowed = "a group of this machine, as `getent group` lists them"
        raise wrong("http.socket_group", name, allowed) from None


def _let_in(path: str, access: Access) -> None:
    """Set a socket's group and mode; nobody can connect yet, so that no moment lets anybody in."""
    group = None if access.group is None else _group_id(access.group)
    if group not in {None, os.lstat(path).st_gid}:
        try:
            os.chown(path, -1, group)
        except OSError as error:
            allowed = (
                f"a group that the service is in ({error.strerror}): put Group={access.group} into"
                " its unit, or add its user to the group"
            )
            raise wrong("http.socket_group", access.group, allowed) from None
    os.chmod(path, access.mode)  # noqa: PTH101


def _remove_stale(path: str, *, is_ours: bool) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is something that is no socket")
    if not is_ours and _answers(path):
        raise OSError(errno.EADDRINUSE, "another process listens there")
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
