"""The subject's rows in a Parquet file: the count of these rows, and the file without them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from propensity.erasure.domain.subject import pattern, telling
from propensity.kernel.errors import BadInputError, ConflictError, SqlError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.kernel.tenant import Subject, tenant_of
from propensity.ports import Sql

# These are ways to write a file; the first way that makes the file small enough is taken. Writing without bloom filters
# is the last resort, because the filters of the rows that are left may be larger than the filters of all rows.
_WAYS = (*(f"compression_level {level}" for level in (3, 11, 19, 22)), "compression_level 22, write_bloom_filter false")
_TRAILER = 8  # a Parquet file ends in its footer, the footer's length (4 bytes) and PAR1


class RowFinder:
    """A finder of rows.

    `names` are the customer's names in texts, and `people` are the columns that hold customers' ids.
    """

    def __init__(self, sql: Sql, subject: Subject, names: Collection[str], people: Collection[str]) -> None:
        self._sql = sql
        self._subject = subject
        self._people = people
        self._any = pattern(names)
        self._telling = pattern([name for name in names if telling(name)])

    def predicate(self, path: Path, key: str) -> str | None:
        """Return SQL that is true for the subject's rows; None where the file cannot have any.

        The key says which tenant's rows a file has; otherwise the column tenant_id says it. A customer's rows have the
        customer's id. A row of the tenant that has nobody's id is the customer's where its text names the customer.
        Raises BadInputError for a damaged file.
        """
        holder = tenant_of(key)
        if holder not in (None, self._subject.tenant_id) or path.stat().st_size == 0:
            return None
        columns = self._columns(path, key)
        if holder is None and "tenant_id" not in columns:
            return None
        of_tenant = "true" if holder else f'"tenant_id"::varchar = {text(self._subject.tenant_id)}'
        if self._subject.customer_id is None:
            return of_tenant
        people = [quote(name) for name in columns if name in self._people]
        theirs = [f"{name}::varchar = {text(self._subject.customer_id)}" for name in people]
        searched = self._telling if people else self._any
        texts = [f"{quote(name)}::varchar" for name, kind in columns.items() if "VARCHAR" in kind]
        if searched and texts:
            nobody = "".join(f"{name} is null and " for name in people)
            theirs.append(f"({nobody}regexp_matches(lower(concat_ws(chr(10), {', '.join(texts)})), {text(searched)}))")
        return f"{of_tenant} and ({' or '.join(theirs)})" if theirs else None

    def count(self, path: Path, key: str) -> int:
        """Return how many of a file's rows are the subject's."""
        found = self.predicate(path, key)
        if found is None:
            return 0
        return int(self._sql.rows(f"select count(*) from {_read(path)} where {found}")[0][0])

    def named_in(self, path: Path) -> bool | None:
        """Whether any value of a Parquet file names the customer; None where it cannot be read."""
        if self._any is None:
            return False
        try:
            columns = [row[0] for row in self._sql.rows(f"describe select * from {_read(path)}")]
            texts = ", ".join(f"{quote(name)}::varchar" for name in columns)
            named = f"regexp_matches(lower(concat_ws(chr(10), {texts})), {text(self._any)})"
            return bool(self._sql.rows(f"select count(*) from {_read(path)} where {named}")[0][0])
        except SqlError:
            return None

    def rewrite(self, path: Path, key: str, out: Path, size: int | None = None) -> int:
        """Write the file without the subject's rows, all others unchanged and in order; return how many rows are left.

        With a size in bytes, the file gets exactly that size. The logs of a table's older versions name the size, and
        readers look for the footer from the end. Raises ConflictError where the file cannot be made that small.
        """
        found = self.predicate(path, key) or "false"
        rest = f"select * from {_read(path)} where ({found}) is not true"
        for way in _WAYS:
            self._sql.execute(f"copy ({rest}) to {text(str(out))} (format parquet, compression zstd, {way})")
            if size is None or out.stat().st_size <= size:
                break
        else:
            raise ConflictError(
                f"{key}: without the rows to erase it takes {out.stat().st_size} bytes, more than the {size} that "
                "its table's log names; nothing was erased from it"
            )
        if size is not None:
            pad(out, size)
        return int(self._sql.rows(f"select count(*) from {_read(out)}")[0][0])

    def _columns(self, path: Path, key: str) -> dict[str, str]:
        try:
            return {row[0]: row[1] for row in self._sql.rows(f"describe select * from {_read(path)}")}
        except SqlError as error:
            raise BadInputError(
                f"{key}: is no whole Parquet file, so nobody can say whom it names; mend or remove it, then try again"
            ) from error


def pad(path: Path, size: int) -> None:
    """Make a Parquet file larger, with zeros between its last page and its footer.

    No reader meets the zeros: offsets in the footer count from the beginning of the file, and the footer is found from
    its end (Apache Parquet format, "File format").
    """
    body = path.read_bytes()
    footer = len(body) - _TRAILER - int.from_bytes(body[-_TRAILER:-4], "little")
    path.write_bytes(body[:footer] + bytes(size - len(body)) + body[footer:])


def _read(path: Path) -> str:
    return read_files([str(path)])
