"""Connects to AWS and Prefect, with the settings of the environment."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3

from flows.stores.s3_client import s3_client
from lambda_trigger.clients.prefect_connection import authorization_of
from lambda_trigger.clients.sigv4 import Credentials
from lambda_trigger.decisions.rules_document import Rules, parse_rules
from operations.clients.ecs_tasks import EcsTasks
from operations.clients.prefect_api import RATE, RateLimitedPrefectApi, authorization
from operations.clients.prefect_runs import PrefectRuns
from operations.clients.services import OperationsServices
from operations.clients.stack_settings import SettingMissingError
from operations.clients.trigger_decision import TriggerDecisions, storage_of


@dataclass(frozen=True)
class Connections:
    """The services that the commands use, and the AWS session."""

    services: OperationsServices
    runs: PrefectRuns
    session: boto3.Session


def connect(rules: Path | None = None, environment: Mapping[str, str] | None = None) -> Connections:
    """Connect to AWS and Prefect.

    Args:
        rules: the rules document; default: the SSM parameter that
            ECHODROP_RULES_PARAMETER names.
        environment: default: that of this process.

    Raises:
        SettingMissingError: something is not set.
        RulesError: the rules document is invalid.
        OSError, ClientError: the rules document can't be read.
    """
    variables = os.environ if environment is None else environment
    session = boto3.Session()
    url, parameter = variables.get("PREFECT_API_URL"), variables.get("ECHODROP_RULES_PARAMETER")
    missing = [
        what
        for what, there in (
            ("PREFECT_API_URL", url),
            ("ECHODROP_RULES_PARAMETER, or --rules", rules or parameter),
            ("AWS credentials", session.get_credentials()),
        )
        if not there
    ]
    if missing or url is None:
        raise SettingMissingError(f"not set: {'; '.join(missing)}")
    region = region_of(session, variables)
    runs = PrefectRuns(
        url, _authorization(session, variables, region), per_minute=_prefect_rate(variables)
    )
    decisions = trigger_decisions(load_rules(rules, variables), session, variables)
    decisions.existing_runs = runs.by_identity
    tasks = EcsTasks(session.client("ecs", region_name=region), runs.cluster_of)
    return Connections(OperationsServices(s3_client({}), decisions, runs, tasks), runs, session)


def prefect_api(environment: Mapping[str, str] | None = None) -> RateLimitedPrefectApi:
    """Connect to Prefect alone.

    Raises:
        SettingMissingError: its address is not set.
        ClientError: the secret with its credential can't be read.
    """
    variables = os.environ if environment is None else environment
    url = variables.get("PREFECT_API_URL")
    if not url:
        raise SettingMissingError("not set: PREFECT_API_URL")
    session = boto3.Session()
    credential = _authorization(session, variables, region_of(session, variables))
    return RateLimitedPrefectApi(url, credential, per_minute=_prefect_rate(variables))


def trigger_decisions(
    rules: Rules, session: boto3.Session, variables: Mapping[str, str]
) -> TriggerDecisions:
    """The trigger's decision by these rules, which reads S3 with this session's credentials.

    Raises:
        SettingMissingError: there are no credentials.
    """
    found = session.get_credentials()
    if found is None:
        raise SettingMissingError("not set: AWS credentials")
    frozen = found.get_frozen_credentials()
    keys = Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token)
    region, endpoint = region_of(session, variables), variables.get("AWS_ENDPOINT_URL")
    return TriggerDecisions(rules, storage_of(keys, region, endpoint))


def load_rules(rules: Path | None, environment: Mapping[str, str] | None = None) -> Rules:
    """Read the rules document at a path, or the trigger's.

    Raises:
        SettingMissingError, RulesError, OSError, ClientError: as `connect`.
    """
    if rules is not None:
        return _parsed(rules.read_text())
    variables = os.environ if environment is None else environment
    name = variables.get("ECHODROP_RULES_PARAMETER")
    if not name:
        raise SettingMissingError("not set: ECHODROP_RULES_PARAMETER, or --rules")
    session = boto3.Session()
    client = session.client("ssm", region_name=region_of(session, variables))
    return _parsed(client.get_parameter(Name=name)["Parameter"]["Value"])


def _parsed(text: str) -> Rules:
    rules = parse_rules(text)
    for warning in rules.warnings:
        logging.getLogger(__name__).warning(warning)
    return rules


def region_of(session: boto3.Session, variables: Mapping[str, str]) -> str:
    """The configured region; without one, the region that the S3 client falls back to."""
    return session.region_name or variables.get("AWS_REGION") or "us-east-1"


def _prefect_rate(variables: Mapping[str, str]) -> float | None:
    """The operator's limit for requests a minute to Prefect, if one is set."""
    text = variables.get(RATE)
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = -1.0
    if rate is not None and not 0 <= rate < math.inf:
        raise SettingMissingError(f"{RATE}={text} is not a number of requests a minute")
    return rate


def _authorization(session: boto3.Session, variables: Mapping[str, str], region: str) -> str | None:
    if arn := variables.get("PREFECT_AUTH_SECRET_ARN"):
        client = session.client("secretsmanager", region_name=region)
        return authorization_of(client.get_secret_value(SecretId=arn)["SecretString"])
    return authorization(variables.get("PREFECT_API_KEY"), variables.get("PREFECT_API_AUTH_STRING"))
