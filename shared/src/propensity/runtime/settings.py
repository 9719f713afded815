"""The environment, read once into a frozen model. A missing variable is an error only when it is needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from propensity.kernel.callers import Approvers
from propensity.kernel.errors import SettingError


class Settings(BaseModel):
    """The variables that template.yaml gives functions. Each function gets only the variables that it needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pack: str | None = Field(None, alias="PACK")
    landing_bucket: str | None = Field(None, alias="LANDING_BUCKET")
    lake_bucket: str | None = Field(None, alias="LAKE_BUCKET")
    promote_queue_url: str | None = Field(None, alias="PROMOTE_QUEUE_URL")
    inference_queue_url: str | None = Field(None, alias="INFERENCE_QUEUE_URL")
    train_machine_arn: str | None = Field(None, alias="TRAIN_MACHINE_ARN")
    score_machine_arn: str | None = Field(None, alias="SCORE_MACHINE_ARN")
    export_machine_arn: str | None = Field(None, alias="EXPORT_MACHINE_ARN")
    backtest_machine_arn: str | None = Field(None, alias="BACKTEST_MACHINE_ARN")
    online_table: str | None = Field(None, alias="ONLINE_TABLE")
    account_id: str = Field("", alias="ACCOUNT_ID")
    technical_approver_role: str = Field("", alias="TECHNICAL_APPROVER_ROLE")
    business_approver_role: str = Field("", alias="BUSINESS_APPROVER_ROLE")
    rows_per_item: int = Field(2_000_000, alias="ROWS_PER_ITEM", ge=1)
    upload_link_seconds: int = Field(900, alias="UPLOAD_LINK_SECONDS", ge=60, le=43_200)
    download_link_seconds: int = Field(900, alias="DOWNLOAD_LINK_SECONDS", ge=60, le=43_200)

    def need(self, name: str) -> str:
        """The value of a field. Raises SettingError, which names the variable, where it is missing."""
        value = getattr(self, name)
        if not value:
            variable = type(self).model_fields[name].alias
            raise SettingError(f"environment variable {variable} is not set; template.yaml gives it to this function")
        return str(value)


def parse_settings(environment: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(dict(environment))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise SettingError(f"environment variables: {problems}") from error


@cache
def settings() -> Settings:
    return parse_settings(os.environ)


def approvers() -> Approvers:
    """The roles that may approve in this stack. Raises SettingError where both roles have one name."""
    chosen = settings()
    return Approvers(chosen.account_id, chosen.technical_approver_role, chosen.business_approver_role)
