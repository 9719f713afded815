"""The UploadAccess port over one S3 bucket. Links are signed with the function's own role."""

from __future__ import annotations

from typing import Any

from propensity.ports import UploadLink


class S3UploadAccess:
    """`client` is a boto3 S3 client; signing makes no request.

    A link may do only what the client's role may do, and ends no later than the client's credentials.
    """

    def __init__(self, client: Any, bucket: str, *, seconds: int) -> None:
        self._client = client
        self._bucket = bucket
        self._seconds = seconds

    def link(self, key: str, *, content_type: str, size: int | None = None) -> UploadLink:
        # a link of PUT binds one length or none; only a form (POST) could bind a range
        request: dict[str, Any] = {"ContentType": content_type, "IfNoneMatch": "*"}
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        if size is not None:
            request["ContentLength"] = size
            headers["Content-Length"] = str(size)
        request |= {"Bucket": self._bucket, "Key": key}
        url: str = self._client.generate_presigned_url("put_object", Params=request, ExpiresIn=self._seconds)
        return UploadLink(url, self._seconds, headers)

    def resource(self, prefix: str) -> str:
        return f"arn:{self._client.meta.partition}:s3:::{self._bucket}/{prefix}*"
