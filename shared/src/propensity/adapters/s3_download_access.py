"""The DownloadAccess port over one S3 bucket. Links are signed with the function's own role."""

from __future__ import annotations

from typing import Any

from propensity.ports import DownloadLink


class S3DownloadAccess:
    """`client` is a boto3 S3 client; signing makes no request.

    A link may read only what the client's role may read, and ends no later than the client's credentials.
    """

    def __init__(self, client: Any, bucket: str, *, seconds: int) -> None:
        self._client = client
        self._bucket = bucket
        self._seconds = seconds

    def link(self, key: str) -> DownloadLink:
        name = key.rpartition("/")[2]
        request = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        }
        url: str = self._client.generate_presigned_url("get_object", Params=request, ExpiresIn=self._seconds)
        return DownloadLink(url, self._seconds)
