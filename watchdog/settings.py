"""The watchdog's settings, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watchdog.cost_brake import BrakeLimits


class SettingsError(Exception):
    """A setting is missing or invalid."""


@dataclass(frozen=True, slots=True)
class WatchdogSettings:
    """What to check, and where to send messages.

    Attributes:
        prefect_secret_arn: ARN of the secret with the credential; None for no credential.
        incidents, brake_note: bucket and prefix; the prefix ends in a slash.
        alert_topic, notice_topic: ARNs of the topics for faults of the system, and for faulty files.
        quiet_hours: for each prefix of the inbox, the maximum hours without an upload.
        look_back_seconds: runs that ended within this time count as just ended. It is several
            times the interval of the checks, so that a failed check hides no run.
        budget_arn: ARN of the month's budget; None if there is none.
    """

    prefect_api_url: str
    prefect_secret_arn: str | None
    stack: str
    work_pool: str
    dead_letter_urls: tuple[str, ...]
    incidents: tuple[str, str]
    alert_topic: str
    notice_topic: str
    inbox_bucket: str
    quiet_hours: Mapping[str, float]
    look_back_seconds: float
    brake: BrakeLimits
    brake_note: tuple[str, str]
    budget_arn: str | None


def read_settings(environment: Mapping[str, str]) -> WatchdogSettings:
    """Read the settings.

    Raises:
        SettingsError: a setting is missing or invalid.
    """

    def needed(name: str) -> str:
        if not (value := environment.get(name)):
            raise SettingsError(f"{name} is not set")
        return value

    def place(name: str) -> tuple[str, str]:
        bucket, slash, prefix = needed(name).removeprefix("s3://").partition("/")
        if not (bucket and slash):
            raise SettingsError(f"{name} is {environment[name]!r}")
        return bucket, prefix

    def limit(name: str) -> float | None:
        try:
            return float(environment.get(name, "0")) or None
        except ValueError:
            raise SettingsError(f"{name} is {environment[name]!r}") from None

    return WatchdogSettings(
        prefect_api_url=needed("PREFECT_API_URL").rstrip("/"),
        prefect_secret_arn=environment.get("PREFECT_AUTH_SECRET_ARN"),
        stack=needed("ECHODROP_STACK"),
        work_pool=needed("ECHODROP_WORK_POOL"),
        dead_letter_urls=tuple(needed("ECHODROP_DEAD_LETTER_URLS").split(",")),
        incidents=place("ECHODROP_INCIDENTS"),
        alert_topic=needed("ECHODROP_ALERT_TOPIC_ARN"),
        notice_topic=needed("ECHODROP_NOTICE_TOPIC_ARN"),
        inbox_bucket=needed("ECHODROP_INBOX_BUCKET"),
        quiet_hours=_quiet_hours(environment.get("ECHODROP_QUIET_INBOX", "")),
        look_back_seconds=float(environment.get("ECHODROP_LOOK_BACK_SECONDS", "900")),
        brake=BrakeLimits(
            limit("ECHODROP_BRAKE_RUNS_AN_HOUR"), limit("ECHODROP_BRAKE_BUDGET_PERCENT")
        ),
        brake_note=place("ECHODROP_BRAKE_NOTE"),
        budget_arn=environment.get("ECHODROP_BUDGET_ARN"),
    )


def _quiet_hours(text: str) -> dict[str, float]:
    """Parse `HB0710/=6,gliders/=48` into hours by prefix."""
    hours = {}
    for part in filter(None, text.split(",")):
        prefix, mark, limit = part.rpartition("=")
        try:
            hours[prefix] = float(limit)
        except ValueError:
            mark = ""
        if not mark:
            raise SettingsError(f"ECHODROP_QUIET_INBOX: {part!r} is not PREFIX=HOURS")
    return hours
