"""`echodrop replay --dlq` at a terminal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping

import boto3
from rich.console import Console

from events.replay import LocalHandler
from flows.core.locations import S3Location
from flows.stores.s3_client import s3_client
from lambda_trigger.clients.transport_errors import ConfigurationError
from lambda_trigger.settings import read_settings
from operations.clients.connections import load_rules, region_of
from operations.console.command_errors import INTERRUPTED, UNAVAILABLE, print_error
from operations.console.printing import print_json, progress_bar, write, write_grouped
from operations.replay.dead_letter_queue import DeadLetter, DeadLetterQueue
from operations.replay.dead_letters import DeadLetterReplay, Diagnose, Quarantine, Replayed
from operations.replay.uploads import ReplayOptions
from operations.sending.estimates import Estimate
from sonar_models import models_by_extension

QUARANTINE = "quarantine/dead-letters/"


def replay_dead_letters(dlq_url: str, options: ReplayOptions) -> int:
    """Send dead letters through the trigger's queue again; quarantine those that failed again.

    Returns:
        An exit code: 0 all messages were sent, or there were none; 1 some were set aside
        or kept, or are still in the queue; 2 AWS did not answer; 130 interrupted, and the
        next call resumes.
    """
    counts: Counter[str] = Counter()
    total_bytes = 0
    listed: list[Replayed] = []
    estimate = Estimate()
    try:
        sqs = boto3.client("sqs", region_name=region_of(boto3.Session()))
        dead = DeadLetterQueue(sqs, dlq_url)
        poison = S3Location(load_rules(options.rules).output_bucket, QUARANTINE)
        replay = DeadLetterReplay(
            dead,
            sqs,
            options.queue_url,
            Quarantine(s3_client({}), poison),
            diagnose=_diagnosis(os.environ),
            rate=options.rate,
            limit=options.limit,
        )
        total = dead.count()
        with progress_bar() as progress:
            for each in replay.preview() if options.dry_run else replay.run():
                counts[each.what] += 1
                progress("dead letters", counts.total(), total)
                total_bytes += len(each.letter.body.encode())
                if each.what in {"sent", "would send"}:
                    _estimate(estimate, each.letter)
                if options.as_json:
                    print_json(_as_json(each))
                elif each.detail:
                    listed.append(each)
        left = dead.count()
    except KeyboardInterrupt:
        _print(counts, listed, "interrupted; nothing is lost, and the next call resumes")
        return INTERRUPTED
    except (*UNAVAILABLE, ValueError) as error:
        return print_error(error)
    if options.as_json:
        summary = {"counts": dict(counts), "bytes": total_bytes, "left": left} | {
            "estimate": estimate.as_json(options.rate)
        }
        print_json(summary)
    else:
        queue = f"{total_bytes:,} bytes of messages; about {left} left in the queue"
        _print(
            counts,
            listed,
            f"{queue}\n{estimate.sentence(options.rate if options.dry_run else None)}",
        )
    return 1 if left or counts["set aside"] or counts["kept"] else 0


def _estimate(estimate: Estimate, letter: DeadLetter) -> None:
    for upload in letter.notified_uploads:
        # The trigger requests no run for other files.
        if models_by_extension(upload.key):
            estimate.add(upload.key, upload.size)


def _diagnosis(variables: Mapping[str, str]) -> Diagnose | None:
    """The trigger in this process, if its settings are in the environment."""
    try:
        read_settings(variables)
    except ConfigurationError:
        return None
    return LocalHandler().send


def _as_json(each: Replayed) -> dict[str, object]:
    return {
        "message_id": each.letter.id,
        "uploads": each.letter.uploads,
        "what": each.what,
        "detail": each.detail,
    }


def _print(counts: Counter[str], listed: list[Replayed], closing: str) -> None:
    console = Console()
    write_grouped(
        console,
        (
            (f"{each.what}: {each.detail}", f"{each.letter.id} {', '.join(each.letter.uploads)}")
            for each in listed
        ),
    )
    for what, count in counts.items():
        write(console, f"{what}: {count:,}")
    for line in closing.splitlines():
        write(console, line)
