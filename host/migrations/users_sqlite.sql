-- The users, as otp-grant-host reads them. Your service may add columns; these it needs.
CREATE TABLE IF NOT EXISTS otp_grant_users (
    -- The `sub` of tokens. Never give one to somebody else.
    subject            TEXT NOT NULL PRIMARY KEY CHECK (
        typeof(subject) = 'text' AND length(subject) BETWEEN 1 AND 255 AND subject NOT GLOB '*[^ -~]*'),
    -- Only `active` users may log in.
    status             TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'locked', 'frozen', 'inactive')),
    -- Normalised: digits with `+` and the country code (or as [addresses] says), e-mail in lower case.
    phone_number       TEXT UNIQUE CHECK (typeof(phone_number) IN ('text', 'null')),
    email              TEXT UNIQUE CHECK (typeof(email) IN ('text', 'null') AND email = lower(email)),
    -- Milliseconds since 1970. "Sign out everywhere": SET tokens_valid_after = unixepoch() * 1000 + 999
    tokens_valid_after BIGINT CHECK (typeof(tokens_valid_after) IN ('integer', 'null') AND tokens_valid_after >= 0),
    -- Whether the user exists for tests: only a test identity logs this user in. For a table that lacks it:
    -- ALTER TABLE otp_grant_users ADD COLUMN is_test BOOLEAN NOT NULL DEFAULT FALSE
    is_test            BOOLEAN NOT NULL DEFAULT FALSE CHECK (is_test IN (0, 1)),
    -- A JSON object: what userinfo may return, filtered by scope.
    claims             TEXT NOT NULL DEFAULT '{}' CHECK (
        typeof(claims) = 'text' AND CASE WHEN json_valid(claims) THEN json_type(claims) = 'object' ELSE 0 END)
);
