"""A stand-in for the DACC, and for the cozy-stack in front of it, to point the worker at.

    python tools/dacc_echo.py --port 0 --fault 'status=503*2,reset,latency=5s@30%' --rate 5/s

It needs nothing but a bare Python, and what stands beside it: ``twins`` and ``dacc_echo.html``. Its
first line is the address for the worker's configuration, and that of a page which shows what
arrives; then it prints a line for each request. It answers as the DACC does, or by faults on
demand, and ``/api/`` tells what arrived. What might tell who a person is, is marked
(``twins/dacc/leaks.py``). In a test, ``with EchoServer() as echo:`` does the same on a thread.

============================  ================================================================
``/measure``                  the DACC itself, which takes an indicator
``/remote/<doctype>``         the stack, which takes an indicator in an envelope
``/``                         either, by what the body is; for a browser, the page
``/alice/remote/<doctype>``   one stack of several: any path may stand before those above
``/api/…``, ``/livez``, …     its own API, see ``twins/dacc/api.py``
============================  ================================================================

``--help`` tells the options, the faults of ``twins/faults.py`` and the API.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from ecolyo_worker.tools.twins import faults
    from ecolyo_worker.tools.twins.command import (
        EXIT_FAILED,
        EXIT_USAGE,
        Parser,
        beyond_loopback,
        failed,
        port,
        seed,
    )
    from ecolyo_worker.tools.twins.dacc import api
    from ecolyo_worker.tools.twins.dacc.definitions import DefinitionsError
    from ecolyo_worker.tools.twins.dacc.lines import line, raw_line
    from ecolyo_worker.tools.twins.dacc.server import EchoServer
    from ecolyo_worker.tools.twins.dacc.stacks import TokenError, check_token
    from ecolyo_worker.tools.twins.faults import FaultSyntaxError
    from ecolyo_worker.tools.twins.pace import RateSyntaxError, parse_rate
    from ecolyo_worker.tools.twins.terminal import Terminal
else:
    from twins import faults
    from twins.command import EXIT_FAILED, EXIT_USAGE, Parser, beyond_loopback, failed, port, seed
    from twins.dacc import api
    from twins.dacc.definitions import DefinitionsError
    from twins.dacc.lines import line, raw_line
    from twins.dacc.server import EchoServer
    from twins.dacc.stacks import TokenError, check_token
    from twins.faults import FaultSyntaxError
    from twins.pace import RateSyntaxError, parse_rate
    from twins.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecolyo_worker.tools.twins.dacc.lines import Handled

__all__ = ["EchoServer", "main"]

PORT = 8081
NAME = "dacc_echo"
FAILURES = {
    "dup": ("duplicate", "duplicates"),
    "invalid": ("invalid indicator", "invalid indicators"),
    "leak": ("leak", "leaks"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stand-in until SIGINT or SIGTERM; give the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: stop.set())
    terminal = Terminal(sys.stdout.fileno(), raw_line if options.raw else line)
    try:
        echo = _echo(options, terminal)
        echo.start()
    except FaultSyntaxError as error:
        return failed(NAME, EXIT_USAGE, f"--fault: {error}")
    except DefinitionsError as error:
        return failed(NAME, EXIT_USAGE, f"--measures: {error}")
    except OSError as error:
        where = f"{options.host}, port {options.port}"
        return failed(NAME, EXIT_FAILED, f"cannot listen on {where}: {error.strerror}")
    print(f'url = "{echo.url}"  # the page: {echo.url}/', flush=True)
    beyond_loopback(NAME, options.host)
    if options.seed is None and echo.faults.uses_seed:
        print(f"dacc_echo: --seed {echo.seed} gives the same sequence again", file=sys.stderr)
    stop.wait()
    echo.stop()
    terminal.close()
    came = [_came(echo.received.ever[name], name) for name in options.fail_on]
    if any(came):
        return failed(NAME, EXIT_FAILED, f"there came {', '.join(filter(None, came))} (--fail-on)")
    return 0


def _echo(options: argparse.Namespace, terminal: Terminal[Handled]) -> EchoServer:
    return EchoServer(
        host=options.host,
        port=options.port,
        token=options.token,
        strict=options.strict,
        fault=options.fault,
        seed=options.seed,
        rate=options.rate,
        measures=options.measures,
        label=options.label,
        show=terminal.show,
    )


def _came(count: int, name: str) -> str:
    """Say how many indicators came that must not; empty where none did."""
    if not count:
        return ""
    return f"{count} {FAILURES[name][count > 1]}"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="dacc_echo.py",
        description="A stand-in for the DACC and for the cozy-stack in front of it.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=port, default=PORT, help="0 picks a free one (default: %(default)s)")
    add(
        "--token",
        type=_token,
        help="demand this bearer token, of the DACC's senders and of the stack's apps "
        "(default: any or none will do)",
    )
    add("--fault", default="ok", metavar="SPEC", help="as in 'status=503*2,reset'; see below")
    add(
        "--seed",
        type=seed,
        metavar="N",
        help="draw what has a probability by this number (default: a random one, which is printed)",
    )
    add(
        "--rate",
        type=_rate,
        help="answer 429 to what comes faster, as in 5/s, 0.5/s or 300/min (default: no limit)",
    )
    add(
        "--measures",
        type=Path,
        metavar="FILE",
        help="know the measures of this definitions file (default: those of the package)",
    )
    add("--label", default="", metavar="TEXT", help="stands in the title of the page")
    add(
        "--fail-on",
        type=_failures,
        default=(),
        metavar="KINDS",
        help="end with status 1 if such came, as in dup,invalid,leak (cleared or not)",
    )
    add("--raw", action="store_true", help="print each indicator's text, as data: '…'")
    add(
        "--strict",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="refuse what the DACC refuses; otherwise take it, and only say what is wrong",
    )
    return parser


def _epilog() -> str:
    """Give what is to be known beyond the options, from where it is written anyway."""
    tables = "\n".join(module.__doc__ or "" for module in (faults, api))
    # Without the marks of code, and the first column's rule as much shorter.
    plain = tables.replace("``", "").replace("====  ", "  ")
    first = "Its first line is the address for the configuration, and the page's; Ctrl-C ends it."
    return f"{first}\n\n{plain}"


def _rate(text: str) -> str:
    try:
        parse_rate(text)
    except RateSyntaxError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _failures(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in FAILURES:
            allowed = ", ".join(FAILURES)
            raise argparse.ArgumentTypeError(f"{name!r} is no such kind; allowed are {allowed}")
    return names


def _token(text: str) -> str:
    try:
        return check_token(text)
    except TokenError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
