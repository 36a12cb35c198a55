"""Every upload brought to its one class: inbox against manifests against flow runs.

Most uploads are settled by two listings and their manifest. Only the others
are looked at closer, in this order: what the trigger would make of them, the
runs of that identity, then what lies at their output *now*. Since a run is
looked up before its output, a run seen Completed has its manifest there, and
nothing that is published meanwhile is taken for trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.locations import S3Location
from lambda_trigger.aws_api import Listed
from lambda_trigger.inbox_rules import Candidate, SettingsXml, judge_key
from lambda_trigger.outcomes import Ignored, Reason, Waiting
from lambda_trigger.rules_document import Rules
from lambda_trigger.run_identity import uri
from lambda_trigger.sidecars import choose_sidecar
from operations.classification import (
    Limits,
    RunFacts,
    classify,
    is_dead,
    turned_away,
    under_way,
    waits,
)
from operations.findings import Finding, Kind, Source
from operations.foresight import Foreseen, Foresight, identity, is_of_azfp, output_prefixes
from operations.inventory import Inventory, ListedOutput
from operations.listings import checksum_now, listed, output_now, read_manifest_of, source_now
from operations.living_tasks import Tasks
from operations.output_state import (
    ManifestFacts,
    ManifestUnreadableError,
    OutputFacts,
    OutputState,
    judge_output,
)
from operations.parallel import in_parallel
from operations.prefect_runs import PAGE, FlowRuns

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Uploads taken into the inventory at once.
LOT = 1000

# Told what is being done, how much of it is done, and how much there is (None: not known).
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Services:
    """What is asked: S3, the trigger's decision, Prefect, and ECS."""

    s3: S3Client
    foresight: Foresight
    runs: FlowRuns
    tasks: Tasks

    @property
    def rules(self) -> Rules:
        """The rules of the inbox."""
        return self.foresight.rules


@dataclass(frozen=True)
class Scope:
    """What to look at.

    Attributes:
        prefix: only uploads whose keys start so.
        since: only uploads stored after this; outputs without an upload are left out then.
        verify: read every output whole, and compare its checksum.
    """

    prefix: str = ""
    since: datetime | None = None
    verify: bool = False


@dataclass
class Reconciliation:
    """One look at the whole. `now` is when it began, and what ages are reckoned from."""

    services: Services
    scope: Scope = field(default_factory=Scope)
    limits: Limits = field(default_factory=Limits)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    progress: Progress = lambda _what, _done, _total: None

    def findings(self) -> Iterator[Finding]:
        """Give one finding for each upload, one for each output that has none, and one for each other run that is dead.

        Raises:
            ClientError: S3 refuses; TransportError: it does not answer;
            PrefectUnavailableError: Prefect does not.
        """
        with Inventory() as inventory:
            yield from self._take_stock_of_inbox(inventory)
            if self.scope.since is None:
                self._take_stock_of_outputs(inventory)
            told: set[str] = set()
            for finding in self._of_uploads(inventory):
                told.add(finding.run_id)
                yield finding
            if self.scope.since is None:
                yield from self._of_outputs_without_source(inventory)
                yield from self._of_other_runs(told)

    def of_uploads(self, uris: Iterable[str]) -> Iterator[Finding]:
        """Give the finding of each of these uploads of the inbox, looked at one by one.

        One that is gone is ignored, as superseded.

        Raises:
            ClientError, TransportError, PrefectUnavailableError: as `findings`.
        """
        lot: list[tuple[Source, str]] = []
        for found in in_parallel(self._upload_now, uris):
            if isinstance(found, Finding):
                yield found
                continue
            lot.append(found)
            if len(lot) == self._lot:
                yield from self._closer_look(lot)
                lot.clear()
        yield from self._closer_look(lot)

    def _upload_now(self, upload: str) -> tuple[Source, str] | Finding:
        key = upload.split("/", 3)[3]
        source = source_now(self.services.s3, self.services.rules.inbox_bucket, key)
        if source is None:
            return Finding(Kind.IGNORED, upload, f"{Reason.SUPERSEDED}: the object is gone")
        verdict = judge_key(source.bucket, key, self.services.rules)
        if isinstance(verdict, Candidate):
            return source, verdict.output_key
        if isinstance(verdict, SettingsXml):
            return turned_away(source, Ignored(Reason.SIDECAR_USED, "settings XML"))
        return turned_away(source, verdict)

    def _take_stock_of_inbox(self, inventory: Inventory) -> Iterator[Finding]:
        """Fill in the uploads; those that the rules turn away are found already."""
        rules = self.services.rules
        lot: list[tuple[str, Source]] = []
        listing = listed(self.services.s3, rules.inbox_bucket, self.scope.prefix)
        for number, source in enumerate(listing, start=1):
            self.progress("listing uploads", number, None)
            verdict = judge_key(source.bucket, source.key, rules)
            if isinstance(verdict, SettingsXml):
                inventory.add_settings(source)
            if self.scope.since is not None and source.modified < self.scope.since:
                continue
            if isinstance(verdict, Candidate):
                lot.append((verdict.output_key, source))
                if len(lot) == LOT:
                    inventory.add_sources(lot)
                    lot.clear()
            elif isinstance(verdict, SettingsXml):
                yield turned_away(source, Ignored(Reason.SIDECAR_USED, "settings XML"))
            else:
                yield turned_away(source, verdict)
        inventory.add_sources(lot)

    def _take_stock_of_outputs(self, inventory: Inventory) -> None:
        def parts() -> Iterator[tuple[str, int, datetime]]:
            number = 0
            for prefix in output_prefixes(self.services.rules, self.scope.prefix):
                for item in listed(self.services.s3, self.services.rules.output_bucket, prefix):
                    number += 1
                    self.progress("listing outputs", number, None)
                    yield item.key, item.size, item.modified

        inventory.add_outputs(parts())

    def _of_uploads(self, inventory: Inventory) -> Iterator[Finding]:
        total = inventory.source_count()
        looked_at = in_parallel(self._first_look, inventory.sources())
        open_questions: list[tuple[Source, str]] = []
        for number, (source, output, facts) in enumerate(looked_at, start=1):
            self.progress("reading manifests", number, total)
            if facts is not None and self._is_settled(source, facts, inventory):
                yield Finding(Kind.DONE, source.uri, source=source, since=source.modified)
                continue
            open_questions.append((source, output))
            if len(open_questions) == self._lot:
                yield from self._closer_look(open_questions)
                open_questions.clear()
        yield from self._closer_look(open_questions)

    @property
    def _lot(self) -> int:
        """How many uploads' identities, of every generation, go into one question to Prefect."""
        return PAGE // (self.limits.attempts + 1) or 1

    def _first_look(
        self, row: tuple[Source, ListedOutput]
    ) -> tuple[Source, str, OutputFacts | None]:
        source, output = row
        name = output.output
        counted = self.scope.since is None
        if counted and not output.has_manifest:
            return source, name, None
        try:
            manifest = self._manifest(name)
        except ManifestUnreadableError:
            return source, name, None
        objects = output.objects if counted else None
        facts = OutputFacts(objects, output.bytes, manifest)
        if manifest is None or not self._verified(name, facts):
            return source, name, None
        return source, name, facts

    def _manifest(self, output: str) -> ManifestFacts | None:
        return read_manifest_of(self.services.s3, self.services.rules.output_bucket, output)

    def _verified(self, output: str, facts: OutputFacts) -> bool:
        if not self.scope.verify or facts.manifest is None:
            return True
        found = checksum_now(self.services.s3, self.services.rules.output_bucket, output)
        return found == facts.manifest.sha256

    def _is_settled(self, source: Source, facts: OutputFacts, inventory: Inventory) -> bool:
        """Whether the output is of this very upload, with no question left about its settings."""
        if judge_output(source, facts).state != "current" or facts.manifest is None:
            return False
        candidate = judge_key(source.bucket, source.key, self.services.rules)
        if not isinstance(candidate, Candidate) or not is_of_azfp(candidate):
            return True
        xml = choose_sidecar(source.bucket, source.key, candidate.rule, inventory.settings_in, None)
        # An XML that the upload's metadata name is found out in the closer look.
        if not isinstance(xml, Listed):
            return False
        return facts.manifest.settings.get(uri(source.bucket, xml.key)) == xml.etag

    def _closer_look(self, questions: Iterable[tuple[Source, str]]) -> Iterator[Finding]:
        sources = list(questions)
        if not sources:
            return
        foreseen = list(in_parallel(lambda each: self.services.foresight.of(each[0]), sources))
        runs = self._runs_of(
            [(source, each) for (source, _), each in zip(sources, foreseen, strict=True)]
        )
        yield from in_parallel(
            lambda each: self._decide(*each),
            [
                (source, output, each, found)
                for (source, output), each, found in zip(sources, foreseen, runs, strict=True)
            ],
        )

    def _runs_of(self, uploads: list[tuple[Source, Foreseen]]) -> list[list[RunFacts]]:
        wanted = [
            {
                identity(foreseen.request, source, generation): generation
                for generation in range(self.limits.attempts + 1)
            }
            if foreseen.request
            else {}
            for source, foreseen in uploads
        ]
        found = self.services.runs.by_identity([each for mapping in wanted for each in mapping])
        # Asked after Prefect: a run that was under way then, and is without a task now, is not
        # between two states. Its task would have told Prefect of its end before it went.
        tasks = self.services.tasks.of(found.values())
        return [
            [
                replace(found[each], generation=generation, has_task=tasks.get(found[each].id))
                for each, generation in mapping.items()
                if each in found
            ]
            for mapping in wanted
        ]

    def _decide(
        self, source: Source, output: str, foreseen: Foreseen, runs: list[RunFacts]
    ) -> Finding:
        verdict = foreseen.verdict
        if isinstance(verdict, Ignored):
            return turned_away(source, verdict)
        state = self._state_now(source, output, foreseen)
        if verdict is None or state.state == "current":
            # Archived, or its XML removed, once it was converted: that is done.
            return classify(source, runs, state, self.limits, self.now)
        if isinstance(verdict, Waiting):
            return waits(source, verdict, self.limits, self.now)
        return turned_away(source, verdict)

    def _state_now(self, source: Source, output: str, foreseen: Foreseen) -> OutputState:
        facts = output_now(self.services.s3, self.services.rules.output_bucket, output)
        if not self._verified(output, facts):
            facts = replace(facts, fault="its checksum is not the manifest's")
        return judge_output(source, facts, foreseen.settings)

    def _of_other_runs(self, told: set[str]) -> Iterator[Finding]:
        """Dead runs of which no upload's finding tells: it is done all the same, or another by now."""
        wanted = f"s3://{self.services.rules.inbox_bucket}/{self.scope.prefix}"
        taken = self.services.runs.in_states(("PENDING", "RUNNING", "CANCELLING"))
        others = [run for run in taken if run.raw_file.startswith(wanted) and run.id not in told]
        tasks = self.services.tasks.of(others)
        for run in others:
            facts = replace(run, has_task=tasks.get(run.id))
            if is_dead(facts, self.limits, self.now):
                yield under_way(run.raw_file, facts, self.limits, self.now)

    def _of_outputs_without_source(self, inventory: Inventory) -> Iterator[Finding]:
        for each in in_parallel(self._without_source, inventory.outputs_without_source()):
            if each is not None:
                yield each

    def _without_source(self, output: ListedOutput) -> Finding | None:
        rules = self.services.rules
        place = S3Location(rules.output_bucket, output.output).uri
        since = datetime.fromisoformat(output.modified) if output.modified else None
        if since is not None and self.now - since < self.limits.arriving:
            # Its upload may have come after the inbox was listed.
            return None
        told = "a manifest that can't be read"
        if output.has_manifest:
            try:
                manifest = self._manifest(output.output)
            except ManifestUnreadableError as error:
                told += f" ({error})"
            else:
                of_scope = f"s3://{rules.inbox_bucket}/{self.scope.prefix}"
                if manifest is None or not manifest.source_uri.startswith(of_scope):
                    # Removed meanwhile; or not of the inbox: converted by hand from elsewhere.
                    return None
                told = f"made from {manifest.source_uri}"
        elif not output.objects:
            return None
        else:
            told = f"{output.objects} objects without a manifest"
        return Finding(Kind.OUTPUT_WITHOUT_SOURCE, place, told, since)
