"""Which bucket of the lake a row falls into."""


def bucket_of(column: str, count: int) -> str:
    """SQL of a row's bucket: the first 8 hex digits of md5(`column`) modulo `count`, INTEGER.

    It uses no engine's own hash, so that any reader can compute it.
    """
    return f"((('0x' || substr(md5({column}), 1, 8))::ubigint % {int(count)})::integer)"
