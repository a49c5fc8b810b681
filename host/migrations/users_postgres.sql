-- The users, as otp-grant-host reads them. Your service may add columns; these it needs.
CREATE TABLE IF NOT EXISTS otp_grant_users (
    -- The `sub` of tokens. Never give one to somebody else.
    subject            TEXT PRIMARY KEY CHECK (subject ~ '^[ -~]{1,255}$'),
    -- Only `active` users may log in.
    status             TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'locked', 'frozen', 'inactive')),
    -- Normalised: digits with `+` and the country code (or as [addresses] says), e-mail in lower case.
    phone_number       TEXT UNIQUE,
    email              TEXT UNIQUE CHECK (email = lower(email COLLATE "C")),
    -- Milliseconds since 1970. "Sign out everywhere": SET tokens_valid_after = extract(epoch FROM now()) * 1000
    tokens_valid_after BIGINT CHECK (tokens_valid_after >= 0),
    -- Whether the user exists for tests: only a test identity logs this user in. For a table that lacks it:
    -- ALTER TABLE otp_grant_users ADD COLUMN is_test BOOLEAN NOT NULL DEFAULT FALSE
    is_test            BOOLEAN NOT NULL DEFAULT FALSE,
    -- A JSON object: what userinfo may return, filtered by scope.
    -- Text, so that one statement serves both databases; cast it to jsonb to search in it.
    claims             TEXT NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(claims::jsonb) = 'object')
);
