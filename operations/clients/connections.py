"""Connects to AWS and Prefect, with the settings of the environment."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from flows.stores.s3_client import s3_client
from lambda_trigger.clients.prefect_connection import authorization_of
from lambda_trigger.clients.sigv4 import Credentials
from lambda_trigger.decisions.rules_document import Rules, parse_rules
from operations.clients.ecs_tasks import EcsTasks
from operations.clients.prefect_api import RATE, RateLimitedPrefectApi
from operations.clients.prefect_runs import PrefectRuns
from operations.clients.stack_settings import RULES, SettingMissingError
from operations.clients.trigger_decision import TriggerDecisions, storage_of
from watchdog.prefect_http import authorization

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class OperationsServices:
    """S3, the trigger's decision, the runs in Prefect, and their tasks, in one AWS session."""

    s3: S3Client
    decisions: TriggerDecisions
    runs: PrefectRuns
    tasks: EcsTasks
    session: boto3.Session = field(default_factory=boto3.Session)

    @property
    def rules(self) -> Rules:
        """The rules of the inbox."""
        return self.decisions.rules

    @property
    def region(self) -> str:
        """The region of the stack."""
        return self.s3.meta.region_name

    @property
    def sqs(self) -> SQSClient:
        """A new client of SQS."""
        return self.session.client("sqs", region_name=self.region)


def connect(rules: Path | None = None) -> OperationsServices:
    """Connect to AWS and Prefect.

    Without `rules` the document is the SSM parameter that ECHODROP_RULES_PARAMETER names.

    Raises:
        SettingMissingError: something is not set.
        RulesError: the rules document is invalid.
        OSError, ClientError: the rules document can't be read.
    """
    session = boto3.Session()
    url = os.environ.get("PREFECT_API_URL", "")
    needed = {
        "PREFECT_API_URL": url,
        "ECHODROP_RULES_PARAMETER, or --rules": rules or os.environ.get(RULES),
        "AWS credentials": session.get_credentials(),
    }
    if missing := [what for what, found in needed.items() if not found]:
        raise SettingMissingError(f"not set: {'; '.join(missing)}")
    runs = PrefectRuns(url, _authorization(session), per_minute=_prefect_rate())
    decisions = trigger_decisions(load_rules(rules))
    decisions.existing_runs = runs.by_identity
    tasks = EcsTasks(session.client("ecs", region_name=region_of(session)), runs.cluster_of)
    return OperationsServices(s3_client({}), decisions, runs, tasks, session)


def prefect_api() -> RateLimitedPrefectApi:
    """Connect to Prefect alone.

    Raises:
        SettingMissingError: its address is not set.
        ClientError: the secret with its credential can't be read.
    """
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise SettingMissingError("not set: PREFECT_API_URL")
    return RateLimitedPrefectApi(url, _authorization(boto3.Session()), per_minute=_prefect_rate())


def trigger_decisions(rules: Rules) -> TriggerDecisions:
    """The trigger's decision by these rules, which reads S3 with the credentials of the environment.

    Raises:
        SettingMissingError: there are no credentials.
    """
    session = boto3.Session()
    found = session.get_credentials()
    if found is None:
        raise SettingMissingError("not set: AWS credentials")
    frozen = found.get_frozen_credentials()
    keys = Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token)
    storage = storage_of(keys, region_of(session), os.environ.get("AWS_ENDPOINT_URL"))
    return TriggerDecisions(rules, storage)


def load_rules(rules: Path | None) -> Rules:
    """Read the rules document at a path, or the trigger's.

    Raises:
        SettingMissingError, RulesError, OSError, ClientError: as `connect`.
    """
    if rules is not None:
        text = rules.read_text()
    elif name := os.environ.get(RULES):
        session = boto3.Session()
        client = session.client("ssm", region_name=region_of(session))
        text = client.get_parameter(Name=name)["Parameter"]["Value"]
    else:
        raise SettingMissingError(f"not set: {RULES}, or --rules")
    parsed = parse_rules(text)
    for warning in parsed.warnings:
        logging.getLogger(__name__).warning(warning)
    return parsed


def region_of(session: boto3.Session) -> str:
    """The configured region; without one, the region that the S3 client falls back to."""
    return session.region_name or os.environ.get("AWS_REGION") or "us-east-1"


def _prefect_rate() -> float | None:
    """The operator's limit for requests a minute to Prefect, if one is set."""
    text = os.environ.get(RATE)
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = -1.0
    if rate is not None and not 0 <= rate < math.inf:
        raise SettingMissingError(f"{RATE}={text} is not a number of requests a minute")
    return rate


def _authorization(session: boto3.Session) -> str | None:
    if arn := os.environ.get("PREFECT_AUTH_SECRET_ARN"):
        client = session.client("secretsmanager", region_name=region_of(session))
        return authorization_of(client.get_secret_value(SecretId=arn)["SecretString"])
    return authorization(
        os.environ.get("PREFECT_API_KEY"), os.environ.get("PREFECT_API_AUTH_STRING")
    )
