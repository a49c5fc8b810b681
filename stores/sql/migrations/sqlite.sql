-- The records of otp-grant. `SqliteStore::migrate` runs this.
CREATE TABLE IF NOT EXISTS otp_grant_records (
    key          BLOB    NOT NULL PRIMARY KEY, -- 32 bytes
    tag          BLOB    NOT NULL,             -- 16 bytes, other ones with each write
    value        TEXT    NOT NULL,             -- the record as JSON
    delete_after INTEGER NOT NULL              -- milliseconds since 1970-01-01T00:00:00Z
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS otp_grant_records_delete_after ON otp_grant_records (delete_after);
