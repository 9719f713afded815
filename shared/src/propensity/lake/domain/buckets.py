"""The bucket of the lake that a row falls into."""


def bucket_of(column: str, count: int) -> str:
    """SQL of a row's bucket: the first 8 hex digits of md5(`column`) modulo `count`, INTEGER.

    The SQL uses no hash of an engine's own, so that any reader can compute the bucket.
    """
    return f"((('0x' || substr(md5({column}), 1, 8))::ubigint % {int(count)})::integer)"
