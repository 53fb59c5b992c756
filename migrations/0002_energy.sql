-- Energy accounts: whose electricity or gas is fetched, and what that needs.

-- new            made; nobody consented yet
-- authorized     the person consented; which meter it is, is not known yet
-- meter_known    the meter is known, nothing was fetched yet
-- active         something was fetched
-- needs_consent  the consent is gone: nothing more is asked until there is another one
-- suspended      it cannot be asked for, and no consent would help; `reason` says why
-- removing       it goes once the consent is revoked at GRDF, which is tried again
-- `reason` says in words what is wrong, if anything is, and `word` says it as Cozy does.
CREATE TABLE accounts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    instance      INTEGER NOT NULL REFERENCES instances (id),
    provider      TEXT NOT NULL CHECK (provider IN ('enedis', 'grdf')),
    meter         TEXT,                     -- 14 digits, of gas also GI and 6 digits
    state         TEXT NOT NULL CHECK (state IN ('new', 'authorized', 'meter_known', 'active',
                      'needs_consent', 'suspended', 'removing')),
    reason        TEXT,
    word          TEXT,
    since         INTEGER NOT NULL,         -- when the state last changed
    suspect_since INTEGER,                  -- since when it is said that somebody else lives there
    suspect_last  INTEGER,                  -- when it was last said, on another day than before
    suspect_days  INTEGER NOT NULL DEFAULT 0,  -- on how many days it was said
    consent       INTEGER,                  -- Enedis' number of the consent, of 2026
    keeps_data    INTEGER NOT NULL DEFAULT 0 CHECK (keeps_data IN (0, 1)),  -- once it is removed
    held_through  INTEGER,                  -- the last civil day of which something is held
    UNIQUE (instance, provider, meter),
    CHECK (meter IS NOT NULL OR state NOT IN ('meter_known', 'active')),
    CHECK (reason IS NOT NULL OR state NOT IN ('needs_consent', 'suspended'))
) STRICT;

CREATE INDEX accounts_held ON accounts (provider, held_through) WHERE state = 'active';

-- What a provider gave to fetch data with, encrypted: to the application (`account` is NULL) or for
-- one account. `name` is a part of what is encrypted, so that no row can stand for another one.
CREATE TABLE tokens (
    name    TEXT PRIMARY KEY,
    account INTEGER REFERENCES accounts (id) ON DELETE CASCADE,
    sealed  BLOB NOT NULL,
    expires INTEGER NOT NULL                -- of what can be used at once
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_of_account ON tokens (account) WHERE account IS NOT NULL;

-- A person who was sent to her provider's page of consent comes back with this state. Only its
-- digest is kept.
CREATE TABLE authorizations (
    account INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    expires INTEGER NOT NULL
) STRICT;

-- What was asked of an account, series by series. Days are civil ones of Paris.
CREATE TABLE cursors (
    account  INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    series   TEXT NOT NULL CHECK (series IN ('daily', 'curve', 'gas_days', 'gas_periods')),
    earliest INTEGER,                       -- the first day that may be asked for, once it was told
    longest  INTEGER CHECK (longest > 0),   -- days of a window, once longer ones were refused
    never    TEXT,                          -- why it is not asked for any more
    trouble  TEXT,                          -- why the last request came to nothing
    failures INTEGER NOT NULL DEFAULT 0,    -- in a row
    PRIMARY KEY (account, series)
) STRICT, WITHOUT ROWID;

-- The days that were answered at least once: ranges of which no two touch.
CREATE TABLE asked_days (
    account INTEGER NOT NULL,
    series  TEXT NOT NULL,
    first   INTEGER NOT NULL,
    stop    INTEGER NOT NULL CHECK (stop > first),
    PRIMARY KEY (account, series, first),
    FOREIGN KEY (account, series) REFERENCES cursors (account, series) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Days that were answered, and are not as they should be. A day that was asked and has neither a
-- point nor a row here is missing.
-- late         nothing came yet
-- empty        the provider gave only nulls
-- coarse       of the half-hours of a day some or all are missing
-- suspect      the parts do not come to the whole
-- error        what came was refused
-- provisional  GRDF's value is not final
-- unread       what came cannot be read, or no answer came time and again
CREATE TABLE open_days (
    account  INTEGER NOT NULL,
    series   TEXT NOT NULL,
    day      INTEGER NOT NULL,
    state    TEXT NOT NULL CHECK (state IN
                 ('late', 'empty', 'coarse', 'suspect', 'error', 'provisional', 'unread')),
    reason   TEXT NOT NULL,
    next_try INTEGER,                       -- from which day on it is asked again; NULL: never
    PRIMARY KEY (account, series, day),
    FOREIGN KEY (account, series) REFERENCES cursors (account, series) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX open_days_suspect ON open_days (account) WHERE state = 'suspect';
CREATE INDEX open_days_unread ON open_days (account) WHERE state = 'unread';

-- When an account is visited next, and when it was last.
CREATE TABLE visits (
    account INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    due     INTEGER NOT NULL,
    visited INTEGER                         -- NULL: never
) STRICT;

CREATE INDEX visits_due ON visits (due);

-- Requests of the last hour, which count against a provider's quota.
CREATE TABLE calls (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    provider TEXT NOT NULL CHECK (provider IN ('enedis', 'grdf')),
    at       INTEGER NOT NULL
) STRICT;

CREATE INDEX calls_of ON calls (provider, at);

-- Until when a provider is left alone, and why.
CREATE TABLE pauses (
    provider TEXT PRIMARY KEY CHECK (provider IN ('enedis', 'grdf')),
    until    INTEGER NOT NULL,
    reason   TEXT,
    failures INTEGER NOT NULL DEFAULT 0     -- requests in a row, of all accounts, without an answer
) STRICT, WITHOUT ROWID;
