"""The subject's rows in a Parquet file: the count of these rows, and the file without them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from propensity.erasure.domain.spelling import CODED
from propensity.erasure.domain.subject import of_nobody
from propensity.erasure.texts import NameFinder
from propensity.kernel.errors import BadInputError, ConflictError, SqlError
from propensity.kernel.sql_text import quote, read_files, text
from propensity.kernel.tenant import TENANT, Subject, tenant_of
from propensity.ports import Sql

# These are ways to write a file; the first way that makes the file small enough is taken. Writing without bloom filters
# is the last resort, because the filters of the rows that are left may be larger than the filters of all rows.
_WAYS = (*(f"compression_level {level}" for level in (3, 11, 19, 22)), "compression_level 22, write_bloom_filter false")
_SOURCE = "_source_key"  # this column holds the landing key of a row's file
_AT_ONCE = 50_000  # rows whose texts are in memory at once
_TRAILER = 8  # a Parquet file ends in its footer, the footer's length (4 bytes) and PAR1


class RowFinder:
    """A finder of rows.

    `names` are the customer's names in texts, and `people` are the columns that hold customers' ids.
    """

    def __init__(self, sql: Sql, subject: Subject, names: Collection[str], people: Collection[str]) -> None:
        self._sql = sql
        self._subject = subject
        self._people = people
        self._any = NameFinder(names)
        self._telling = self._any.telling
        self._some = bool(names)

    def predicate(self, path: Path, key: str) -> str | None:
        """Return SQL that is true for the subject's rows; None where the file cannot have any.

        The key says which tenant's rows a file has; otherwise the column tenant_id says it. A customer's rows have the
        customer's id. A row of the tenant, or of no tenant, that has nobody's id is the customer's where its text names
        the customer. Raises BadInputError for a damaged file.
        """
        holder = tenant_of(key)
        if not self._may_hold(key) or path.stat().st_size == 0:
            return None
        columns = self._columns(path, key)
        if holder is None and TENANT not in columns:
            return None
        if self._subject.customer_id is None:
            return "true" if holder else f"{quote(TENANT)}::varchar = {text(self._subject.tenant_id)}"
        of_tenant = "true"
        if not holder:
            of_tenant = f"coalesce({quote(TENANT)}::varchar, '') in ('', {text(self._subject.tenant_id)})"
        people = [quote(name) for name in columns if name in self._people]
        theirs = [f"{name}::varchar = {text(self._subject.customer_id)}" for name in people]
        texts = [f"{quote(name)}::varchar" for name, kind in columns.items() if "VARCHAR" in kind and name != _SOURCE]
        if self._some and texts:
            finder = self._telling if people or of_nobody(key) else self._any
            nobody = " and ".join([of_tenant, *(f"{name} is null" for name in people)])
            named = list(self._named(path, texts, nobody, finder))
            theirs += [f"file_row_number in ({', '.join(map(str, named))})"] if named else []
        return f"{of_tenant} and ({' or '.join(theirs)})" if theirs else None

    def count(self, path: Path, key: str) -> int:
        """Return how many of a file's rows are the subject's."""
        found = self.predicate(path, key)
        if found is None:
            return 0
        return int(self._sql.rows(f"select count(*) from {_numbered(path)} where {found}")[0][0])

    def named_in(self, path: Path) -> bool | None:
        """Whether any value or column of a Parquet file names the customer; None where it cannot be read."""
        if not self._some:
            return False
        try:
            columns = [row[0] for row in self._sql.rows(f"describe select * from {_read(path)}")]
            texts = [f"{quote(name)}::varchar" for name in columns]
            named = self._named(path, texts, "true", self._any)
            return self._telling.within_text("\n".join(columns)) or next(named, None) is not None
        except SqlError:
            return None

    def sources_named(self, path: Path, key: str) -> dict[str, str]:
        """Return the landing keys in a file of the tenant that name the customer, each with the key to write instead.

        Rows of others keep the key of their file, so a file's name can name a person in anybody's row.
        """
        if not self._some or not self._may_hold(key) or path.stat().st_size == 0:
            return {}
        if _SOURCE not in self._columns(path, key):
            return {}
        found = self._sql.rows(f"select distinct {_SOURCE}::varchar from {_read(path)} where {_SOURCE} is not null")
        return {name: self._any.without_key(name) for (name,) in found if self._any.without_key(name) != name}

    def _may_hold(self, key: str) -> bool:
        holder = tenant_of(key)
        return holder in (None, self._subject.tenant_id) or (self._subject.customer_id is not None and of_nobody(key))

    def _named(self, path: Path, texts: Sequence[str], where: str, finder: NameFinder) -> Iterator[int]:
        """Yield the numbers of the rows whose texts name the customer.

        SQL finds the rows that may; Python reads these rows, because only Python undoes escapes.
        """
        [(rows,)] = self._sql.rows(f"select count(*) from {_read(path)}")
        joined = f"concat_ws(chr(10), {', '.join(texts)})"
        plain = finder.expression
        if plain is None:
            return
        maybe = f"regexp_matches(lower(joined), {text(plain)}) or regexp_matches(joined, {text(CODED)})"
        for start in range(0, rows, _AT_ONCE):
            part = f"file_row_number between {start} and {start + _AT_ONCE - 1}"
            source = f"select file_row_number, {joined} as joined from {_numbered(path)} where {part} and {where}"
            for number, value in self._sql.rows(f"select file_row_number, joined from ({source}) where {maybe}"):
                if finder.within_text(value):
                    yield number

    def rewrite(self, path: Path, key: str, out: Path, size: int | None = None) -> int:
        """Write the file without the subject's rows, all others unchanged and in order; return how many rows are left.

        With a size in bytes, the file gets exactly that size. The logs of a table's older versions name the size, and
        readers look for the footer from the end. Raises ConflictError where the file cannot be made that small.
        """
        found = self.predicate(path, key) or "false"
        sources = self.sources_named(path, key)
        whens = " ".join(f"when {text(name)} then {text(shown)}" for name, shown in sources.items())
        kept = f" replace (case {_SOURCE} {whens} else {_SOURCE} end as {_SOURCE})" if whens else ""
        rest = f"select * exclude (file_row_number){kept} from {_numbered(path)} where ({found}) is not true"
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


def _numbered(path: Path) -> str:
    return f"read_parquet({text(str(path))}, file_row_number = true, hive_partitioning = false)"
