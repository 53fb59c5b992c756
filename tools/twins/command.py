"""What the command lines of stand-ins have in common."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .browsers import is_loopback

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["EXIT_FAILED", "EXIT_USAGE", "Parser", "beyond_loopback", "failed", "port", "seed"]

EXIT_FAILED = 1
EXIT_USAGE = 64


class Parser(argparse.ArgumentParser):
    """Ends with the exit code that the whole product has for wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\n")


def failed(name: str, status: int, sentence: str) -> int:
    """Say why a stand-in ends; give the exit status."""
    print(f"{name}: {sentence}", file=sys.stderr)
    return status


def beyond_loopback(name: str, host: str) -> None:
    """Warn where an address can be reached from other machines."""
    if not is_loopback(host):
        print(f"{name}: warning: {host} can be reached from other machines", file=sys.stderr)


def port(text: str) -> int:
    """Read a port; raises `argparse.ArgumentTypeError`."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed are 0 to 65535")


def seed(text: str) -> int:
    """Read a seed; raises `argparse.ArgumentTypeError`."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no seed; allowed are whole numbers from 0")
