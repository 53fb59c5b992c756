"""A stand-in for Enedis and for GRDF, to point the worker at.

    python tools/energy_twin.py --port 0 --meter 11111111111111:holes,late --fault 'html-503*2'

It needs nothing but a bare Python, and the folder ``twins`` beside it. Its first line has the
addresses for the worker's configuration, which follows; then it prints a line for each request. Its
data are computed from a seed, so that they are the same each time; what is odd about a meter is
named with its number. It knows Enedis of v4, v5 and 2026, GRDF, their tokens and pages of consent,
quotas, and errors by name. In a test, ``with EnergyTwin() as twin:`` does the same on a thread.

``--help`` tells the addresses, the meters, the faults and the API.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import time
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from ecolyo_worker.tools.twins.command import (
        EXIT_FAILED,
        EXIT_USAGE,
        Parser,
        beyond_loopback,
        failed,
        port,
        seed,
    )
    from ecolyo_worker.tools.twins.energy import api, errors, meters, plans, quotas, routes
    from ecolyo_worker.tools.twins.energy.history import READY
    from ecolyo_worker.tools.twins.energy.lines import line
    from ecolyo_worker.tools.twins.energy.server import EnergyTwin
    from ecolyo_worker.tools.twins.faults import FaultSyntaxError
    from ecolyo_worker.tools.twins.terminal import Terminal
else:
    from twins.command import EXIT_FAILED, EXIT_USAGE, Parser, beyond_loopback, failed, port, seed
    from twins.energy import api, errors, meters, plans, quotas, routes
    from twins.energy.history import READY
    from twins.energy.lines import line
    from twins.energy.server import EnergyTwin
    from twins.faults import FaultSyntaxError
    from twins.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ecolyo_worker.tools.twins.energy.lines import Handled

__all__ = ["EnergyTwin", "main"]

NAME = "energy_twin"
PORT = 8082
LONGEST_LIFE_S = 10**7


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stand-in until SIGINT or SIGTERM; give the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: stop.set())
    terminal = Terminal(sys.stdout.fileno(), line)
    try:
        twin = _twin(options, terminal.show)
        twin.start()
    except (
        FaultSyntaxError,
        meters.MeterSyntaxError,
        plans.PlaceError,
        quotas.QuotaSyntaxError,
    ) as error:
        return failed(NAME, EXIT_USAGE, str(error))
    except OSError as error:
        where = f"{options.host}, port {options.port}"
        return failed(NAME, EXIT_FAILED, f"cannot listen on {where}: {error.strerror}")
    print(f'url = "{twin.url}"  # of Enedis; of GRDF: {twin.grdf_url}', flush=True)
    # Whoever started it may read the first line alone, and be gone.
    terminal.say(_configuration(twin))
    beyond_loopback(NAME, options.host)
    stop.wait()
    twin.stop()
    terminal.close()
    return 0


def _twin(options: argparse.Namespace, show: Callable[[Handled], None]) -> EnergyTwin:
    return EnergyTwin(
        host=options.host,
        port=options.port,
        seed=options.seed,
        meters=options.meter,
        today=options.today,
        fault=options.fault,
        faults_for=dict(map(plans.parse_bound, options.fault_for)),
        quotas=options.quota,
        secret=options.secret,
        expires_in_s=options.expires_in,
        redirect_uri=options.redirect_uri,
        ready=options.ready_at,
        show=show,
    )


def _configuration(twin: EnergyTwin) -> str:
    """Give what to write into the worker's configuration."""
    return f"""\
# [enedis]
# base_url = "{twin.url}"
# authorize_url = "{twin.url}/dataconnect/v2/oauth2/authorize"
# token_url = "{twin.url}{routes.ENEDIS_TOKEN}"
# [grdf]
# base_url = "{twin.grdf_url}"
# authorize_url = "{twin.url}{routes.GRDF_AUTHORIZE}"
# token_url = "{twin.url}{routes.GRDF_TOKEN}\""""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="energy_twin.py",
        description="A stand-in for Enedis and for GRDF.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=port, default=PORT, help="0 picks a free one (default: %(default)s)")
    add("--seed", type=seed, default=0, metavar="N", help="of the data and of what is drawn (0)")
    add(
        "--meter",
        action="append",
        default=[],
        metavar="ID[:ODD,…]",
        help=f"a meter; may be repeated (default: {' '.join(meters.DEFAULTS)})",
    )
    add("--today", default="", metavar="DAY", help="its day, or time, as in 2026-02-10T07:30")
    add("--fault", default="ok", metavar="SPEC", help="as in 'status=503*2,reset'; see below")
    add(
        "--fault-for",
        action="append",
        default=[],
        metavar="PLACE=SPEC",
        help="the same, at a place alone, as in 'curve=no-data*2'; may be repeated",
    )
    add(
        "--quota",
        action="append",
        default=[],
        metavar="NAME=N/s",
        help="as in 2026=1000/h or grdf=off; off ends them all; may be repeated",
    )
    add("--secret", help="demand this client secret (default: any will do)")
    add("--expires-in", type=_life, metavar="S", help="seconds that tokens are good for")
    add("--redirect-uri", metavar="URL", help="where pages of consent lead back to")
    add("--ready-at", type=_time, default=READY, metavar="HH:MM", help="when new days come (08:00)")
    return parser


def _epilog() -> str:
    """Give what is to be known beyond the options, from where it is written anyway."""
    tables = "\n".join(
        module.__doc__ or "" for module in (routes, meters, errors, plans, quotas, api)
    )
    # Without the marks of code, and the first column's rule as much shorter.
    return tables.replace("``", "").replace("====  ", "  ")


def _life(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 9 and 0 < int(text) <= LONGEST_LIFE_S:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no life of a token; allowed are seconds from 1 to {LONGEST_LIFE_S}"
    )


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; allowed is as in 08:00") from None


if __name__ == "__main__":
    sys.exit(main())
