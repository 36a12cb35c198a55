"""`echodrop rules` at a terminal. Nothing is sent, and nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.core.locations import S3Location
from flows.stores.s3_client import s3_client
from lambda_trigger.decisions.batches import is_small
from lambda_trigger.decisions.inbox_rules import Candidate, SettingsXml, Verdict, judge_key
from lambda_trigger.decisions.outcomes import LANES, Rejected, Upload
from lambda_trigger.decisions.rules_document import PrefixRule, parse_rules
from lambda_trigger.decisions.rules_document import Rules as ParsedRules
from lambda_trigger.decisions.rules_table import RulesError
from lambda_trigger.decisions.run_identity import RunRequest, tag_of
from lambda_trigger.decisions.wording import counted
from operations.clients.connections import load_rules, trigger_decisions
from operations.clients.trigger_decision import decision_in_words
from operations.console.command_errors import UNAVAILABLE, print_error
from operations.console.options import Rules, Stack, complete_settings
from operations.console.printing import write, write_name, write_part
from operations.findings.findings import Source
from operations.inventory.listings import source_now, upload_place


def check_rules(
    files: Annotated[list[Path], typer.Argument(help="Rules documents in TOML (docs/rules.md).")],
) -> int:
    """Check rules documents before they are deployed; name the first wrong line of each."""
    out, err = Console(), Console(stderr=True)
    code = 0
    for path in files:
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


def explain_rules(
    upload: Annotated[str, typer.Argument(help="s3://bucket/key; it need not exist yet.")],
    rules: Rules = None,
    stack: Stack = None,
) -> int:
    """Show which rule takes an upload, and which outcome and sonar model it would get; send nothing.

    Exit code 0: it would not be rejected; 1: it would be; 2: a service did not answer.
    """
    console = Console()
    try:
        complete_settings(stack, None, ECHODROP_RULES_PARAMETER=rules)
        active = load_rules(rules)
        place = upload_place(upload)
        write_name(console, upload, style="bold")
        rule = active.rule_for(place.key)
        by_rule = _rule_in_words(rule, active) if rule else "no prefix of the rules includes it"
        write_part(console, "rule", f"{rule.prefix!r}: {by_rule}" if rule else by_rule)
        verdict = judge_key(place.bucket, place.key, active)
        if not isinstance(verdict, Candidate):
            return _by_key(console, verdict)
        write_part(console, "output", S3Location(active.output_bucket, verdict.output_key).uri)
        source = source_now(s3_client({}), place.bucket, place.key)
        if source is None:
            models = ", ".join(sorted(verdict.models))
            write_part(
                console, "outcome", f"depends on its content, which is not there yet: {models}"
            )
            return 0
        return _by_content(console, active, verdict, source)
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)


def _by_key(console: Console, verdict: SettingsXml | Verdict) -> int:
    if isinstance(verdict, SettingsXml):
        write_part(
            console, "outcome", "a settings XML: AZFP data in its folder and below may use it"
        )
        return 0
    name = type(verdict).__name__
    write_part(console, "outcome", f"{name}: {verdict.reason}: {verdict.detail}")
    return 1 if isinstance(verdict, Rejected) else 0


def _by_content(console: Console, rules: ParsedRules, candidate: Candidate, source: Source) -> int:
    decision = trigger_decisions(rules).of(source)
    name = "Submitted: " if decision.request else ""
    write_part(console, "outcome", f"{name}{decision_in_words(decision)}")
    if decision.request is not None:
        write_part(console, "task", _task_in_words(decision.request, rules, candidate, source))
    return 1 if isinstance(decision.verdict, Rejected) else 0


def _task_in_words(
    request: RunRequest, rules: ParsedRules, candidate: Candidate, source: Source
) -> str:
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


def _rule_in_words(rule: PrefixRule, rules: ParsedRules) -> str:
    if rule.ignore:
        return "ignored"
    output = S3Location(rules.output_bucket, rule.output_prefix).uri
    more = [f"{name} = {value!r}" for name, value in rule.parameters.items()]
    return ", ".join([f"{rule.output_type} below {output} by {rule.deployment}", *more])
