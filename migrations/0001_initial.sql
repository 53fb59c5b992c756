-- The first schema. Civil times are ms since 1970 of the wall clock, civil days are days since then;
-- instants (created, due, …) are ms since 1970 in UTC. No text of a person stands outside `instances`,
-- `events`, `ends`, `ever` and `series`.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta VALUES ('database_id', lower(hex(randomblob(16))));

-- How many rows there are in each state, kept in the transaction that changes them, so that a
-- status scans nothing.
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was deleted, by what it was and why: sums still close afterwards.
CREATE TABLE removed (
    what   TEXT NOT NULL,
    reason TEXT NOT NULL,
    count  INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (what, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    name                TEXT NOT NULL UNIQUE,
    salt                BLOB NOT NULL CHECK (length(salt) = 16),
    withdrawn_through   INTEGER,            -- consents accepted up to this civil time are ended
    first_connection_at INTEGER,            -- as the host says it
    heating             TEXT,
    hot_water           TEXT,
    cooking             TEXT,
    -- Facts of the events ever stored, kept when the events go.
    first_connection_seen INTEGER,          -- earliest ConnectionEvent with result firstConnection
    first_launch_time   INTEGER,            -- earliest ChallengeLaunchEvent, and its place
    first_launch_seq    INTEGER,
    launch_row_seq      INTEGER,            -- the launch that made the row from the first connection
    connected_through   INTEGER,            -- civil day up to which the connected rows are made
    months_from         INTEGER,            -- civil month before which none is looked at
    pruned_through      INTEGER,            -- civil day up to which events were removed for age
    counted_through     INTEGER             -- last civil day counted when a withdrawal removed all
) STRICT;

CREATE TABLE consents (
    instance    INTEGER NOT NULL REFERENCES instances (id),
    accepted_at INTEGER NOT NULL,
    version     TEXT NOT NULL,
    PRIMARY KEY (instance, accepted_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE konnector_states (
    instance  INTEGER NOT NULL REFERENCES instances (id),
    fluid     TEXT NOT NULL CHECK (fluid IN ('electricity', 'water', 'gas')),
    since     INTEGER NOT NULL,
    connected INTEGER NOT NULL CHECK (connected IN (0, 1)),
    PRIMARY KEY (instance, fluid, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
    instance   INTEGER NOT NULL REFERENCES instances (id),
    since      INTEGER NOT NULL,
    subscribed INTEGER NOT NULL CHECK (subscribed IN (0, 1)),
    PRIMARY KEY (instance, since)
) STRICT, WITHOUT ROWID;

-- An event's state is not stored: it is the fate of the counting whose range holds it, except that
-- `aggregated` ones are imported as counted, ones before that counting's acceptance are without
-- consent, and ones in `failures` failed.
CREATE TABLE events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    instance   INTEGER NOT NULL REFERENCES instances (id),
    id         TEXT NOT NULL,
    day        INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    type       TEXT NOT NULL,
    target     TEXT,
    context    TEXT,
    result     TEXT,
    start_text TEXT,
    start      INTEGER,
    aggregated INTEGER NOT NULL CHECK (aggregated IN (0, 1))
) STRICT;

CREATE UNIQUE INDEX events_by_id ON events (instance, id);
CREATE INDEX events_by_day ON events (instance, day, time, seq);

-- Days with events that no counting has passed over yet.
CREATE TABLE waiting_days (
    instance INTEGER NOT NULL REFERENCES instances (id),
    day      INTEGER NOT NULL,
    PRIMARY KEY (instance, day)
) STRICT, WITHOUT ROWID;

-- Of equal end events: the place of the first one ever stored, which one was counted first, and
-- which one was allowed to make a row.
CREATE TABLE ends (
    instance    INTEGER NOT NULL REFERENCES instances (id),
    type        TEXT NOT NULL,
    target      TEXT NOT NULL,
    start       INTEGER NOT NULL,
    first_time  INTEGER NOT NULL,
    first_seq   INTEGER NOT NULL,
    counted_seq INTEGER,
    row_seq     INTEGER,
    PRIMARY KEY (instance, type, target, start)
) STRICT, WITHOUT ROWID;

-- Events of the types that are counted over a whole life, kept when the events go.
CREATE TABLE ever (
    instance INTEGER NOT NULL REFERENCES instances (id),
    id       TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    type     TEXT NOT NULL,
    target   TEXT,
    result   TEXT,
    PRIMARY KEY (instance, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    started     INTEGER NOT NULL,
    as_of       INTEGER NOT NULL,           -- civil time
    definitions TEXT NOT NULL,              -- digest of the definitions it went by
    max_age_days INTEGER NOT NULL,          -- the settings it went by
    not_before  INTEGER,                    -- civil day
    mode        TEXT NOT NULL CHECK (mode IN ('local', 'on'))
) STRICT;

-- Each counting passes over the events of one instance and day that arrived after the last one:
-- those with after_seq < seq <= upto_seq. It is never undone.
CREATE TABLE countings (
    instance         INTEGER NOT NULL REFERENCES instances (id),
    day              INTEGER NOT NULL,
    n                INTEGER NOT NULL,      -- how often this day was counted before
    after_seq        INTEGER NOT NULL,
    upto_seq         INTEGER NOT NULL CHECK (upto_seq > after_seq),
    run              INTEGER NOT NULL REFERENCES runs (id),
    fate             TEXT NOT NULL CHECK (fate IN ('counted', 'expired', 'imported')),
    acceptance       INTEGER NOT NULL,
    first_connection INTEGER,               -- as this counting knew it
    events           INTEGER NOT NULL,      -- how many it passed over, `aggregated` ones left out
    rows             INTEGER NOT NULL,      -- how many indicators it made
    PRIMARY KEY (instance, day, n)
) STRICT, WITHOUT ROWID;

-- Civil months (months since the year 0) that are done. None is ever done twice.
CREATE TABLE month_countings (
    instance         INTEGER NOT NULL REFERENCES instances (id),
    month            INTEGER NOT NULL,
    run              INTEGER NOT NULL REFERENCES runs (id),
    acceptance       INTEGER NOT NULL,
    first_connection INTEGER,               -- as this counting knew it
    rows             INTEGER NOT NULL,      -- how many indicators it made
    upto_seq         INTEGER NOT NULL,      -- the last event that had arrived by then
    PRIMARY KEY (instance, month)
) STRICT, WITHOUT ROWID;

-- Readings of a meter, or of none where a host imported them. `source` says who gave them.
CREATE TABLE series (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL REFERENCES instances (id),
    fluid    TEXT NOT NULL CHECK (fluid IN ('electricity', 'water', 'gas')),
    step     TEXT NOT NULL CHECK (step IN ('half-hour', 'day', 'published')),
    meter    TEXT NOT NULL,                 -- '' for none
    source   TEXT NOT NULL CHECK (source IN ('import', 'enedis', 'grdf')),
    UNIQUE (instance, fluid, step, meter, source)
) STRICT;

-- An interval begins at an instant (ms since 1970 in UTC); Wh, of water ml. A lower quality (0 to 3)
-- never replaces a higher one.
CREATE TABLE points (
    series  INTEGER NOT NULL REFERENCES series (id),
    start   INTEGER NOT NULL,
    minutes INTEGER NOT NULL CHECK (minutes > 0),
    amount  INTEGER NOT NULL CHECK (amount >= 0),
    quality INTEGER NOT NULL DEFAULT 3 CHECK (quality BETWEEN 0 AND 3),
    PRIMARY KEY (series, start)
) STRICT, WITHOUT ROWID;

-- What GRDF says beside a point's energy: m³, and kWh for each of them.
CREATE TABLE gas_details (
    series      INTEGER NOT NULL REFERENCES series (id),
    start       INTEGER NOT NULL,
    volume      REAL,
    coefficient REAL,
    PRIMARY KEY (series, start)
) STRICT, WITHOUT ROWID;

-- What the points of a household come to, made anew for the days that were touched. `start` is, of
-- an hour, its instant; of a day, a month and a year, the civil one (days since 1970, months since
-- the year 0, the year).
CREATE TABLE rollups (
    instance INTEGER NOT NULL REFERENCES instances (id),
    fluid    TEXT NOT NULL CHECK (fluid IN ('electricity', 'water', 'gas')),
    step     TEXT NOT NULL CHECK (step IN ('hour', 'day', 'month', 'year')),
    start    INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount >= 0),
    is_whole INTEGER NOT NULL CHECK (is_whole IN (0, 1)),
    PRIMARY KEY (instance, fluid, step, start)
) STRICT, WITHOUT ROWID;

-- Which times of the schedule are done. Taken in the transaction that ends the work.
CREATE TABLE slots (
    job  TEXT NOT NULL,
    day  TEXT NOT NULL,                     -- civil day, YYYY-MM-DD
    done INTEGER NOT NULL,
    PRIMARY KEY (job, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE failures (
    seq   INTEGER PRIMARY KEY REFERENCES events (seq),
    error TEXT NOT NULL
) STRICT;

-- Where rows are sent: one URL with one credential. The native target has one, a Cozy target one for
-- each instance. `reason` says in words what is wrong, if anything is.
-- ready   its rows are in the draw
-- paused  it refused the token, does not answer as a DACC, or asked to wait
-- open    the breaker: attempts failed in a row
-- What is paused or open lets one row through from `not_before` on, and the rest when that one passed.
CREATE TABLE destinations (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    instance       INTEGER UNIQUE REFERENCES instances (id),    -- NULL: that of the native target
    state          TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'paused', 'open')),
    not_before     INTEGER NOT NULL DEFAULT 0,
    reason         TEXT,
    secret_mark    INTEGER,                 -- what its secret was known by when it was refused
    failures       INTEGER NOT NULL DEFAULT 0,      -- in a row, of those that the breaker counts
    opened         INTEGER NOT NULL DEFAULT 0,      -- how often in a row the breaker opened
    last_delivered INTEGER,
    CHECK (state = 'ready' OR reason IS NOT NULL)
) STRICT;

CREATE INDEX destinations_unwell ON destinations (state, id) WHERE reason IS NOT NULL;

-- pending    drawn by the sender once `due` has come; made by a counting, or put back by hand
-- in_flight  claimed by the sender; becomes pending again at the next start if it stays behind
-- sent       the DACC took it; sent? = it may have, and is not asked again
-- dead       refused for good; by hand back to pending, or discarded
-- local      counted in mode local: never sent
CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    key             BLOB NOT NULL UNIQUE CHECK (length(key) = 16),
    instance        INTEGER REFERENCES instances (id),
    destination     INTEGER REFERENCES destinations (id),   -- gone with the instance once finished
    measure         TEXT NOT NULL,
    start_date      TEXT NOT NULL,
    body            BLOB,
    body_hmac       BLOB NOT NULL,
    state           TEXT NOT NULL CHECK (state IN
                        ('pending', 'in_flight', 'sent', 'sent?', 'dead', 'local', 'discarded')),
    waits           INTEGER DEFAULT 1,              -- 1 until it is known what became of it
    due             INTEGER NOT NULL DEFAULT 0,     -- 0: at once
    shuffle         INTEGER NOT NULL,               -- the random place in the draw
    attempts        INTEGER NOT NULL DEFAULT 0,     -- those that count
    tries           INTEGER NOT NULL DEFAULT 0,     -- all that failed; the backoff grows with them
    maybe_delivered INTEGER NOT NULL DEFAULT 0,     -- attempts of which nobody knows the end
    failing_since   INTEGER,
    answer          TEXT,                           -- what the last attempt that failed was told
    created         INTEGER NOT NULL,
    attempted       INTEGER,                        -- when the last attempt ended
    CHECK ((body IS NULL) = (state IN ('sent', 'sent?', 'discarded'))),
    CHECK (destination IS NOT NULL OR state NOT IN ('pending', 'dead', 'local')),
    CHECK ((waits IS NULL) = (state NOT IN ('pending', 'in_flight')))
) STRICT;

-- Finding the next rows costs the same whatever else the table holds.
CREATE INDEX outbox_draw ON outbox (destination, shuffle) WHERE state = 'pending' AND due = 0;
CREATE INDEX outbox_due ON outbox (due, shuffle) WHERE state = 'pending' AND due != 0;
CREATE INDEX outbox_finished ON outbox (attempted) WHERE state IN ('sent', 'sent?', 'discarded');
-- By `waits`, for a claim changes nothing in it: its rows lie far apart, each on a page of its own.
CREATE INDEX outbox_oldest ON outbox (created) WHERE waits IS NOT NULL;
CREATE INDEX outbox_in_flight ON outbox (id) WHERE state = 'in_flight';
CREATE INDEX outbox_of_instance ON outbox (instance) WHERE instance IS NOT NULL;

-- What each attempt to send a row came to, the first and the last ones where there were very many:
-- the greatest `n` is how many were ever made. A row that is finished keeps no answer.
CREATE TABLE attempts (
    row     INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    n       INTEGER NOT NULL CHECK (n > 0),
    ended   INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status  INTEGER,                        -- of HTTP; NULL where no answer came
    answer  TEXT,
    PRIMARY KEY (row, n)
) STRICT, WITHOUT ROWID;
