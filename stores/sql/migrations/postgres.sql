-- The records of otp-grant. `PostgresStore::migrate` runs this; run it yourself if hosts may not create tables.
CREATE TABLE IF NOT EXISTS otp_grant_records (
    key          BYTEA  PRIMARY KEY, -- 32 bytes
    tag          BYTEA  NOT NULL,    -- 16 bytes, other ones with each write
    value        TEXT   NOT NULL,    -- the record as JSON
    delete_after BIGINT NOT NULL     -- milliseconds since 1970-01-01T00:00:00Z
);
CREATE INDEX IF NOT EXISTS otp_grant_records_delete_after ON otp_grant_records (delete_after);
