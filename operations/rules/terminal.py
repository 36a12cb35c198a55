"""`echodrop rules` at a terminal. Nothing is sent, and nothing changes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import boto3
from rich.console import Console

from flows.core.locations import S3Location
from flows.stores.s3_client import s3_client
from lambda_trigger.decisions.batches import is_small
from lambda_trigger.decisions.inbox_rules import Candidate, SettingsXml, Verdict, judge_key
from lambda_trigger.decisions.outcomes import LANES, Rejected, Upload
from lambda_trigger.decisions.rules_document import PrefixRule, Rules, parse_rules
from lambda_trigger.decisions.rules_table import RulesError
from lambda_trigger.decisions.run_identity import RunRequest, tag_of
from lambda_trigger.decisions.wording import counted
from operations.clients.connections import load_rules, trigger_decisions
from operations.clients.trigger_decision import decision_in_words
from operations.console.command_errors import UNAVAILABLE, print_error
from operations.console.printing import write, write_name
from operations.findings.findings import Source
from operations.inventory.listings import source_now, upload_place

_LABEL = 10


def check_at_terminal(paths: Sequence[Path]) -> int:
    """Check rules documents; print the rules of each, or its first wrong line.

    Returns:
        An exit code: 0 all are valid, 1 one is not.
    """
    out, err = Console(), Console(stderr=True)
    code = 0
    for path in paths:
        try:
            rules = parse_rules(path.read_text("utf-8"))
        except (RulesError, OSError, UnicodeDecodeError) as error:
            write(err, f"{path}: {error}", style="red")
            code = 1
            continue
        for warning in rules.warnings:
            write(err, f"{path}: {warning}", style="yellow")
        write(out, f"{path}: valid, {counted(len(rules.prefixes), 'prefix', 'prefixes')}")
        for rule in rules.prefixes:
            write_name(out, f"{rule.prefix!r}: {_rule_in_words(rule, rules)}", indent=2)
    return code


def explain_at_terminal(uri: str, rules: Path | None = None) -> int:
    """Print which rule takes an upload, and the outcome that the trigger would give it now.

    If the object does not exist, only its key is judged.

    Args:
        uri: `s3://bucket/key`.
        rules: the rules document; default: the trigger's.

    Returns:
        An exit code: 0 it would not be rejected, 1 it would be, 2 a service did not answer.
    """
    console = Console()
    try:
        active = load_rules(rules)
        place = upload_place(uri)
        write_name(console, uri, style="bold")
        rule = active.rule_for(place.key)
        by_rule = _rule_in_words(rule, active) if rule else "no prefix of the rules includes it"
        _part(console, "rule", f"{rule.prefix!r}: {by_rule}" if rule else by_rule)
        verdict = judge_key(place.bucket, place.key, active)
        if not isinstance(verdict, Candidate):
            return _by_key(console, verdict)
        _part(console, "output", S3Location(active.output_bucket, verdict.output_key).uri)
        source = source_now(s3_client({}), place.bucket, place.key)
        if source is None:
            models = ", ".join(sorted(verdict.models))
            _part(console, "outcome", f"depends on its content, which is not there yet: {models}")
            return 0
        return _by_content(console, active, verdict, source)
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)


def _by_key(console: Console, verdict: SettingsXml | Verdict) -> int:
    if isinstance(verdict, SettingsXml):
        _part(console, "outcome", "a settings XML: AZFP data in its folder and below may use it")
        return 0
    name = type(verdict).__name__
    _part(console, "outcome", f"{name}: {verdict.reason}: {verdict.detail}")
    return 1 if isinstance(verdict, Rejected) else 0


def _by_content(console: Console, rules: Rules, candidate: Candidate, source: Source) -> int:
    decision = trigger_decisions(rules, boto3.Session(), os.environ).of(source)
    name = "Submitted: " if decision.request else ""
    _part(console, "outcome", f"{name}{decision_in_words(decision)}")
    if decision.request is not None:
        _part(console, "task", _task_in_words(decision.request, rules, candidate, source))
    return 1 if isinstance(decision.verdict, Rejected) else 0


def _task_in_words(request: RunRequest, rules: Rules, candidate: Candidate, source: Source) -> str:
    upload = Upload(source.bucket, source.key, source.size)
    batch = rules.batch
    shared = [
        lane
        for lane in LANES
        if batch and is_small(replace(upload, lane=lane), candidate.rule, request, batch)
    ]
    own = "a task of its own"
    alone = f"{own}, but in lane {' and '.join(shared)} it may share one" if shared else own
    return f"size {tag_of(request.tags, 'tier')}; {alone}"


def _rule_in_words(rule: PrefixRule, rules: Rules) -> str:
    if rule.ignore:
        return "ignored"
    output = S3Location(rules.output_bucket, rule.output_prefix).uri
    more = [f"{name} = {value!r}" for name, value in rule.parameters.items()]
    return ", ".join([f"{rule.output_type} below {output} by {rule.deployment}", *more])


def _part(console: Console, label: str, text: str) -> None:
    write(console, f"{label:<{_LABEL}}{text}", indent=2)
