"""The ObjectStore port over one S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError

from propensity.kernel.errors import NotFoundError, RetryableError
from propensity.ports import ObjectInfo

_MISSING = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}
# S3 gives this answer for a missing key, where the role may not list the bucket
_DENIED = {"AccessDenied", "403"}
# an API answers these texts, because the messages name a bucket and a key
_ABSENT = "nothing is stored under this name"
_BUSY = "the storage is busy; try again"
_PRECONDITION = {"PreconditionFailed", "412"}
# a later try may succeed; S3 answers 409 while another conditional write of the same key is under way
_AGAIN = {
    "ConditionalRequestConflict",
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "409",
    "503",
}


class S3Store:
    """`client` is a boto3 S3 client. Making a store makes no request."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def head(self, key: str, version_id: str | None = None) -> ObjectInfo:
        with self._named(key):
            return _info(key, self._client.head_object(Bucket=self.bucket, Key=key, **_version(version_id)))

    def get(self, key: str, version_id: str | None = None) -> bytes:
        with self._named(key):
            body: bytes = self._client.get_object(Bucket=self.bucket, Key=key, **_version(version_id))["Body"].read()
            return body

    def download(self, key: str, path: Path, version_id: str | None = None) -> ObjectInfo:
        with self._named(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=key, **_version(version_id))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                for chunk in answer["Body"].iter_chunks(1 << 20):
                    out.write(chunk)
            return _info(key, answer)

    def put(self, key: str, body: bytes) -> None:
        with self._named(key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def put_new(self, key: str, body: bytes) -> bool:
        return self._put_if_absent(key, body)

    def upload_new(self, key: str, path: Path) -> bool:
        # one conditional put_object takes up to 5 GB: the whole object appears, or nothing
        with path.open("rb") as body:
            return self._put_if_absent(key, body)

    def replace(self, key: str, path: Path, *, etag: str | None = None) -> None:
        condition = {"IfMatch": etag} if etag is not None else {}
        try:
            with path.open("rb") as body, self._named(key):
                self._client.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)
        except _PreconditionError as error:
            what = f"s3://{self.bucket}/{key}: replaced by others in the meantime; look again"
            raise RetryableError(what, public=_BUSY) from error

    def remove(self, key: str, version_id: str | None = None) -> None:
        with self._named(key):
            if version_id is not None:
                self._client.delete_object(Bucket=self.bucket, Key=key, VersionId=version_id)
                return
            # a delete without a version would only hide the object, so each version and each delete marker is removed
            for kind in ("Versions", "DeleteMarkers"):
                for item in list(self._listed("list_object_versions", key, kind)):
                    if item["Key"] == key:
                        self._client.delete_object(Bucket=self.bucket, Key=key, VersionId=item["VersionId"])

    def keys(self, prefix: str) -> Iterator[str]:
        for item in self._listed("list_objects_v2", prefix, "Contents"):
            yield item["Key"]

    def infos(self, prefix: str) -> Iterator[ObjectInfo]:
        for item in self._listed("list_objects_v2", prefix, "Contents"):
            yield ObjectInfo(item["Key"], item["ETag"].strip('"'), item["Size"], item["LastModified"])

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        for item in self._listed("list_object_versions", prefix, "Versions"):
            yield ObjectInfo(
                item["Key"], item["ETag"].strip('"'), item["Size"], item["LastModified"], item["VersionId"]
            )

    def _listed(self, operation: str, prefix: str, kind: str) -> Iterator[dict[str, Any]]:
        with self._named(prefix):
            for page in self._client.get_paginator(operation).paginate(Bucket=self.bucket, Prefix=prefix):
                yield from page.get(kind, ())

    def _put_if_absent(self, key: str, body: Any) -> bool:
        try:
            with self._named(key):
                self._client.put_object(Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*")
        except _PreconditionError:
            return False
        return True

    @contextmanager
    def _named(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            where = f"s3://{self.bucket}/{key}"
            if code in _PRECONDITION:
                raise _PreconditionError from error
            if code in _MISSING:
                raise NotFoundError(f"{where}: no such object", public=_ABSENT) from error
            if code in _DENIED and error.operation_name in ("GetObject", "HeadObject"):
                raise NotFoundError(
                    f"{where}: no such object, or this function's role may not read it", public=_ABSENT
                ) from error
            if code in _AGAIN:
                raise RetryableError(f"{where}: {code}; try again", public=_BUSY) from error
            raise
        except (HTTPClientError, ResponseStreamingError) as error:
            what = f"s3://{self.bucket}/{key}: {type(error).__name__}; try again"
            raise RetryableError(what, public=_BUSY) from error


class _PreconditionError(Exception):
    """The object is not as the write expected.

    An object of the key exists already, or it is not the one that was read.
    """


def _version(version_id: str | None) -> dict[str, str]:
    return {"VersionId": version_id} if version_id else {}


def _info(key: str, answer: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        etag=answer["ETag"].strip('"'),
        size=answer["ContentLength"],
        last_modified=answer["LastModified"],
        version_id=answer.get("VersionId"),
    )
