"""An application: version, input, the model's own process, gate, delivery.

Does not own how any of these is done. Until the delivery nothing that readers see is touched.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from service import (
    comparison,
    data_files,
    delivery,
    drift,
    gate,
    inputs,
    model_process,
    predictions,
    promotions,
    reference,
    versions,
)
from service.data_files import DataFiles
from service.errors import BadData, BadUsage
from service.findings import Finding, judge
from service.inputs import PreparedInput
from service.logs import bytes_of, label, step
from service.predictions import Content
from service.receipt import Status
from service.run import Run


def apply(run: Run) -> Status:
    """Make the predictions for the run date with the version that is live on it, and deliver them.

    Safe to repeat: the run date's partition then holds the last delivery. A failure leaves the table as it was.

    Raises:
        BadUsage: no version is live on the run date.
        BadData: the version, the input or the predictions are not fit for use.
    """
    name_partition(run)
    run.facts.model_version = live_version(run)
    model = fetched_version(run)
    data = inputs.prepare(run)
    output = run.folder / "output"
    words = model_process.run_model(run, data_path=data.path, model_path=model, output_path=output)
    with model_process.quoting(words):
        run.facts.metrics = model_process.metrics(output)
        content = _checked(run, data, output)
    return delivery.deliver(run, content)


def name_partition(run: Run) -> None:
    """Record which partition the run is about."""
    run.facts.table, run.facts.partition = run.settings.table, f"{run.run_date:%Y%m%d}"


def live_version(run: Run) -> str:
    """The version that is live on the run date.

    Raises:
        BadUsage: there is none.
    """
    promotion = promotions.live_on(promotions.history(run.clients.models), run.run_date)
    if promotion is None:
        text = f"No version of '{run.spec.name}' is live on {run.run_date}."
        raise BadUsage(
            text, f"There is nothing to apply, so train first: python -m service train --run-date {run.run_date}"
        )
    return promotion.to_version


def fetched_version(run: Run) -> Path:
    """Fetch the files of the run's version, verified.

    Raises:
        BadData: a file is not what it was, or the version was trained for a later day.
    """
    manifest = versions.read(run.clients.models, str(run.facts.model_version))
    _refuse_leakage(run, manifest)
    folder = run.folder / "model"
    folder.mkdir()
    versions.fetch(run.clients.models, manifest, folder)
    label(version=manifest.version)
    step("version", f"Version {manifest.version} is live on {run.run_date}.", bytes=bytes_of(folder))
    return folder


def _refuse_leakage(run: Run, manifest: versions.Manifest) -> None:
    """A version that was trained for a later day has seen what was still to come."""
    if manifest.run_date > str(run.run_date):
        text = f"Version '{manifest.version}' was trained for {manifest.run_date}, after the run date {run.run_date}"
        to_do = "Roll back to a version of that time: python -m service rollback --to VERSION --effective-date DATE"
        raise BadData(f"{text}: it knows what happened then.", to_do)


def _checked(run: Run, data: PreparedInput, output: Path) -> Content:
    """Pass the predictions through the gate and write them in the table's form.

    Raises:
        BadData: the gate has findings that nobody may overrule, or has overruled.
    """
    files = predictions.find(output)
    with data_files.connect(run.folder) as connection:
        found = gate.examine(connection, files, data.files, run.spec.columns, run.spec.entity_key, due=data.due)
        findings = [finding.masked() for finding in found]
        run.facts.gate = _report(findings)
        # What does not have the table's columns and types cannot be compared with what is in the table.
        if any(not finding.may_be_forced for finding in findings):
            judge_findings(run, findings, files)
        content = predictions.write(run, connection, files, datetime.now(UTC))
        run.facts.predicted_at = f"{content.predicted_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        compare_and_judge(run, connection, DataFiles((content.path,), "parquet"), findings)
    return content


def compare_and_judge(
    run: Run, connection: duckdb.DuckDBPyConnection, written: DataFiles, findings: list[Finding]
) -> None:
    """The end of the gate, over all predictions in the table's form: hold them against an earlier run date, and judge.

    Raises:
        BadData: there are findings that nobody may overrule, or has overruled.
    """
    columns, key = run.spec.columns, run.spec.entity_key
    earlier = reference.latest_earlier(run, drift.compared(columns, key))
    more, report = comparison.compare(connection, written, columns, key, run.spec.gates.delivery, earlier)
    run.facts.gate = _report([*findings, *more]) | report
    judge_findings(run, [*findings, *more], written)
    against = f"compared with {earlier.run_date}" if earlier else "with no earlier run date to compare with"
    text = f"The gate let {report['rows']} predictions pass, {against}."
    size = sum(bytes_of(path) for path in written.paths)
    step("gate", text, rows=report["rows"], bytes=size, gate=run.facts.gate)


def judge_findings(run: Run, findings: list[Finding], files: DataFiles) -> None:
    """Refuse what was found, unless the run was given a reason that overrules it, which is then recorded.

    Raises:
        BadData: there are findings that nobody may overrule, or has overruled.
    """
    to_do = "Correct the model, its input, schema.json or gates in model.yaml; the table keeps what it had."
    if all(finding.may_be_forced for finding in findings):
        to_do += " If the predictions are right all the same: apply --force --reason '...'."
    judge(findings, f"'{files.paths[0].name}'", to_do, reason=run.force_reason)
    if findings:
        run.facts.forced = run.force_reason


def _report(findings: list[Finding]) -> dict[str, Any]:
    return {"findings": [finding.document() for finding in findings]}
