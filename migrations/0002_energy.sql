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
