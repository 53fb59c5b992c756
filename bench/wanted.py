"""What every bench compares, and which ratio is wanted of it: the list behind the report."""

from dataclasses import dataclass

__all__ = ["BENCHES", "WANTED", "Figure"]


@dataclass(frozen=True)
class Figure:
    """A line that a bench prints, what its ratio is of, and between which ratios it should lie."""

    bench: str
    name: str
    ours: str
    baseline: str
    least: float | None = None
    most: float | None = None
    why: str = ""
    """Why it may be missed, and what was tried: told where it is."""

    def is_met(self, ratio: float) -> bool | None:
        """Whether a ratio is one that is wanted; None where any is."""
        if self.least is None and self.most is None:
            return None
        return (self.least or 0) <= ratio <= (self.most or float("inf"))

    @property
    def wanted(self) -> str:
        """Give the ratios that are wanted in words."""
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        if self.least is not None:
            return f"≥ {self.least}"
        return "–" if self.most is None else f"≤ {self.most}"


_BULK = "`executemany` of `sqlite3`, as durable, into the same tables"
_BUSIEST = "what the rate allows"
_LIBRARIES = "a process that imports anyio, msgspec and aiosqlite and opens a database"
_BARE = "a process with asyncio, SQLite and msgspec"

_INTAKE = (
    "Reading and checking an event, and answering its caller, are Python; so is making its row"
    " ready, in the database's thread; and both need Python's lock. Transactions that begin while"
    " callers of the one before are being answered (500 at a time, or 250) were tried: 0.30 and"
    " 0.22 instead of 0.35, for that thread waits up to 5 ms for the lock after each statement;"
    " for lists of 500, transactions of 5,000, 2,500 or 1,000 events gain nothing either."
)
_PEERS = (
    "A put of a peer is one commit, and a commit takes a third of a millisecond on this disk: 25"
    " times as many events would be nearly as many as `executemany` stores. Where commits take"
    " longer the ratio is greater."
)

WANTED = (
    Figure(
        "intake_ack_1000", "intake_ack_1000", "events/s, 1,000 callers", _BULK, 0.40, why=_INTAKE
    ),
    Figure(
        "intake_batch_500",
        "intake_batch_500",
        "events/s, lists of 500 of NDJSON",
        _BULK,
        0.65,
        why=_INTAKE,
    ),
    Figure(
        "intake_http_500",
        "intake_http_500",
        "events/s over HTTP, 500 each",
        _BULK,
        0.35,
        why=_INTAKE,
    ),
    Figure(
        "intake_vs_peers",
        "intake_vs_huey",
        "events/s, 1,000 callers",
        "puts of huey",
        25,
        why=_PEERS,
    ),
    Figure(
        "intake_vs_peers", "intake_vs_litequeue", "the same", "puts of litequeue", 25, why=_PEERS
    ),
    Figure(
        "intake_vs_peers",
        "intake_vs_persist_queue",
        "the same",
        "puts of persist-queue",
        25,
        why=_PEERS,
    ),
    Figure(
        "intake_overload",
        "intake_overload",
        "events/s stored, offered 1.5 × capacity",
        "capacity",
        0.9,
    ),
    Figure(
        "intake_overload",
        "intake_overload_refused",
        "events/s refused, and counted",
        "capacity",
    ),
    Figure(
        "intake_overload",
        "intake_overload_waiting",
        "events that waited at most",
        "`intake.max_waiting`",
        most=1.0,
    ),
    Figure(
        "intake_overload",
        "intake_overload_memory",
        "memory at the end of the overload",
        "at its middle",
        most=1.1,
    ),
    Figure(
        "drain",
        "drain",
        "deliveries/s",
        "the same clients and lanes, no outbox",
        0.88,
        why="Of the CPU for a row some 0.22 ms are the lane's, in both. The outbox adds 0.03 ms in"
        " the event loop, and 0.06 in the database's thread, which shares two cores and Python's"
        " lock with the lanes and the server. Claims of 250 instead of 500 rows, earlier ones, and"
        " marks half as often made no difference that could be measured.",
    ),
    Figure("drain", "drain_httpx", "deliveries/s", "httpx's own clients, no outbox"),
    Figure("drain_20ms", "drain_20ms", "deliveries/s, 20 ms each", "20 lanes / 20 ms", 0.80),
    Figure("drain_20ms", "drain_20ms_bare", "posts/s of httpx's clients", "20 lanes / 20 ms"),
    Figure("drain_vs_peers", "drain_vs_huey", "deliveries/s", "huey's worker, 10 threads", 1.2),
    *(
        figure
        for rate in (50, 200, 1_000)
        for figure in (
            Figure("rate", f"rate_{rate}", "starts/s", f"{rate:,} a second", 0.99, 1.0),
            Figure("rate", f"rate_{rate}_busiest", "busiest second", _BUSIEST, most=1.02),
        )
    ),
    Figure(
        "backlog",
        "backlog",
        "time to claim 100 of 1,000,000 rows",
        "100 of 1,000",
        most=1.5,
    ),
    Figure(
        "backlog",
        "backlog_moment",
        "the same, due since a moment ago",
        "100 of 1,000",
        most=1.5,
    ),
    Figure(
        "night_1m",
        "night_1m",
        "time of a night, 1,000,000 events",
        "reading them and inserting the rows",
        most=1.8,
    ),
    Figure(
        "night_scaling",
        "night_scaling_time",
        "time of a night, 10,000,000 events",
        "1,000,000 events",
        most=10.5,
        why="Of what it takes longer than ten of the shorter ones, half are commits, a third the"
        " storing of indicators, and the rest the reading of events. Two indexes of the outbox, by"
        " key and by random place, have no order of their own: of ten million events they are ten"
        " times as large as SQLite's cache, so that nearly every row reads and writes pages which"
        " no other row of its transaction needs. Four times the cache doubles the memory of a night"
        " and takes a tenth off the shorter one; to move the log into the database a quarter as"
        " often gains nothing.",
    ),
    Figure("night_scaling", "night_scaling_memory", "most memory of it", "the same", most=1.5),
    Figure(
        "night_lag",
        "night_lag_p99",
        "p99 of `record` during a night",
        "p99 without one",
        most=10,
    ),
    Figure("night_lag", "night_lag_loop", "longest pause of the event loop", "50 ms", most=1.0),
    Figure("rollup_3y", "rollup_3y", "points/s, from answers to roll-ups", _BULK, 0.385),
    Figure("year", "year", "time of `demo --days 400`", "a minute", most=1.0),
    Figure("year", "year_indicators", "indicators of it, all sent", "events of it"),
    Figure(
        "ready",
        "ready",
        "time until a host's worker is ready",
        _LIBRARIES,
        most=1.3,
        why="Of some 55 ms that it takes longer, 35 are a hundred modules of its own, 10 anyio's"
        " part for asyncio, which whoever only imports anyio does not load yet, 4 the definitions"
        " of the indicators, and 7 the lock, and whether the database is sound and up to date. To"
        " load less before it is ready would stop the host's event loop for it soon after.",
    ),
    Figure("ready", "ready_service", "time until `ecolyo-worker run` is ready", _LIBRARIES),
    Figure("idle", "idle_memory", "memory of an idle host's worker", _BARE, most=1.4),
    Figure("idle", "idle_service_memory", "memory of an idle `ecolyo-worker run`", _BARE),
    Figure("idle", "idle_cpu", "CPU of an idle worker", "0.02 % of a core", most=1.0),
    Figure("idle", "idle_wakeups", "wake-ups of an idle worker", "1 a second", most=1.0),
    Figure("status_1m", "status_1m", "runs/s of `status`, 1,000,000 rows", "1 s each", 1.0),
    Figure("status_1m", "status_1m_start", "starts/s of a service with them", "2 s each", 1.0),
    Figure("status_1m", "status_1m_service", "the same beside a service", "1 s each", 1.0),
    Figure("page_filter", "page_filter", "filters/s of the echo page", "200 ms each", 1.0),
    Figure("echo_start", "echo_start", "starts/s of the echo server", "1 s each", 1.0),
    Figure("disk", "disk_event", "bytes of a stored event", "its JSON"),
    Figure("disk", "disk_indicator", "bytes of a waiting indicator", "its JSON"),
    Figure("disk", "disk_sent", "bytes of a sent indicator", "its JSON"),
    Figure("disk", "disk_half_hour", "bytes of a half-hour, with its roll-ups", "its JSON"),
)
"""Every figure, in the order of the report."""

BENCHES = tuple(dict.fromkeys(figure.bench for figure in WANTED))
"""The modules to run, each of which prints the figures of its name."""
