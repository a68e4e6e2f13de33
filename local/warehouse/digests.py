"""Digests that DuckDB lacks, as functions of bytes that its connections call.

Row by row through Python: about half a second for a million rows. Does not own where they are called (`functions.py`).
"""

import hashlib

import duckdb
import farmhash  # type: ignore[import-untyped]  # has no types
from duckdb.sqltypes import BIGINT, BLOB


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to all connections of a database."""
    connection.create_function("bq_farm_fingerprint", _farm_fingerprint, [BLOB], BIGINT)
    connection.create_function("bq_sha512", _sha512, [BLOB], BLOB)


def _farm_fingerprint(content: bytes) -> int:
    """The 64 bits of FarmHash as GoogleSQL has them: signed."""
    number = int(farmhash.fingerprint64(content))
    return number - 2**64 if number >= 2**63 else number


def _sha512(content: bytes) -> bytes:
    return hashlib.sha512(content).digest()
