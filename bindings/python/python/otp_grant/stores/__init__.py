"""Stores that keep records on a server or in a file.

``otp_grant.stores.redis`` needs the extra ``redis``, and ``otp_grant.stores.sqlalchemy`` the extra ``sqlalchemy``.
Both keep records as the Rust crates ``otp-grant-redis`` and ``otp-grant-sql`` do, so that hosts in both languages can
share one database.
"""
