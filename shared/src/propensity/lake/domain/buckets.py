"""Which bucket of the lake a row falls into."""


def bucket_of(column: str, count: int) -> str:
    """SQL: the first 8 hex digits of md5(partition key) mod N, INTEGER.

    Written down here rather than left to an engine's hash, so that any reader can compute it.
    """
    return f"((('0x' || substr(md5({column}), 1, 8))::ubigint % {int(count)})::integer)"
