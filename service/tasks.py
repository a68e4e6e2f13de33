"""An application that several tasks share: each predicts for its keys, and the last to finish delivers all.

A task waits for no other. After its part is recorded it looks which parts are there; whoever sees all of them passes
the complete set through the gate and delivers it. Several may see that at once: they plan the same delivery, and the
plan's compare-and-swap and its one load job make one of it. Until then nothing that readers see is touched.
"""

from pathlib import Path

from google.cloud.storage import Blob

from service import (
    application,
    data_files,
    delivery,
    fingerprint,
    gate,
    inputs,
    model_process,
    parts,
    predictions,
    receipt,
    staging,
)
from service.data_files import DataFiles
from service.delivery import Staged
from service.errors import UpstreamFailed
from service.inputs import PreparedInput
from service.key_digest import KeyDigest
from service.logs import bytes_of, event, label
from service.parts import Part, Split
from service.receipt import Status
from service.run import Run


def apply(run: Run) -> Status | None:
    """Make this task's part of the predictions, unless it is there; deliver all if it was the last.

    Safe to repeat. A failure leaves the table as it was, and the other parts where they are.

    Returns:
        None when other tasks are not done yet, or one of them has delivered.
    """
    run.facts.task, run.facts.tasks = run.settings.task_index, run.settings.task_count
    application.name_partition(run)
    split = parts.agreed(run)
    if split is None:
        split = parts.agree(run, application.live_version(run), inputs.generation(run))
    run.facts.model_version = split.model_version
    label(version=split.model_version)
    if parts.read(run, run.settings.task_index) is None:
        part = parts.record(run, _made(run, split))
        event(f"Part {part.task + 1} of {split.tasks} is done: {part.rows} predictions.", fingerprint=part.fingerprint)
    found = parts.finished(run)
    if len(found) < split.tasks:
        event(f"{len(found)} of {split.tasks} parts are there; the last task to finish delivers them.")
        return None
    return _delivered(run, split, found)


def _made(run: Run, split: Split) -> Part:
    model = application.fetched_version(run)
    data = inputs.prepare_share(run, split.input_generation)
    if not run.facts.input_rows:
        return Part(task=run.settings.task_index)
    output = run.folder / "output"
    words = model_process.run_model(run, data_path=data.path, model_path=model, output_path=output)
    with model_process.quoting(words):
        metrics = model_process.metrics(output)
        content = _checked(run, data, output, split)
    name = f"{parts.folder(run)}part-{run.settings.task_index}-{run.settings.attempt}.parquet"
    file = staging.stage(run, content, name)
    return Part(
        task=run.settings.task_index,
        uri=file.uri,
        generation=file.generation,
        rows=file.rows,
        fingerprint=file.fingerprint,
        due=data.due or KeyDigest(),
        metrics=metrics,
        environment_fingerprint=run.facts.environment_fingerprint,
        forced=run.facts.forced,
        input_rows=run.facts.input_rows,
        input_fingerprint=str(run.facts.input_fingerprint),
    )


def _checked(run: Run, data: PreparedInput, output: Path, split: Split) -> predictions.Content:
    """Hold the part against its share of the input, so that what is wrong is told before it is stored."""
    files = predictions.find(output)
    with data_files.connect(run.folder) as connection:
        findings = gate.examine(connection, files, data.files, run.spec.columns, run.spec.entity_key, due=data.due)
        application.judge_findings(run, [finding.masked() for finding in findings], files)
        return predictions.write(run, connection, files, predictions.parsed_time(split.predicted_at))


def _delivered(run: Run, split: Split, found: list[Part]) -> Status | None:
    earlier = receipt.read(run.clients.runs, run.action.name, run.id, run.settings.execution)
    if earlier is not None and earlier["status"] == "failed":
        text = f"Execution '{run.settings.execution}' has failed: {earlier['message']}"
        raise UpstreamFailed(text, "Start a new execution.")
    if earlier is not None:
        event(f"Task {earlier['task']} has delivered all parts.", load_job=earlier["load_job"])
        return None
    _gather(run, split, found)
    _pass_gate(run, found)
    staged = Staged(
        files={part.uri: int(part.generation or 0) for part in found if part.uri},
        rows=sum(part.rows for part in found),
        bytes=bytes_of(run.folder / "parts"),
        fingerprint=fingerprint.combined(part.fingerprint for part in found),
        predicted_at=predictions.parsed_time(split.predicted_at),
        started_at=split.started_at,
    )
    return delivery.carry_out(run, staged)


def _gather(run: Run, split: Split, found: list[Part]) -> None:
    """What the receipt tells of the whole."""
    facts = run.facts
    facts.input_rows = sum(part.input_rows for part in found)
    facts.input_fingerprint = fingerprint.combined(part.input_fingerprint for part in found)
    facts.metrics = {f"task {part.task}": part.metrics for part in found if part.metrics}
    facts.predicted_at = split.predicted_at
    facts.environment_fingerprint = next((p.environment_fingerprint for p in found if p.uri), None)
    facts.forced = next((part.forced for part in found if part.forced), None)


def _pass_gate(run: Run, found: list[Part]) -> None:
    """The gate over the complete set, as it will be loaded."""
    folder = run.folder / "parts"
    folder.mkdir()
    paths = []
    for part in found:
        if part.uri:
            paths.append(folder / f"{part.task}.parquet")
            blob = Blob.from_uri(part.uri, client=run.clients.storage)
            run.clients.runs.blob(blob.name, generation=part.generation).download_to_filename(str(paths[-1]))
    files = DataFiles(tuple(paths), "parquet")
    due = sum((part.due for part in found), KeyDigest())
    with data_files.connect(run.folder) as connection:
        findings = gate.examine_parts(connection, files, run.spec.columns, run.spec.entity_key, due)
        application.compare_and_judge(run, connection, files, [finding.masked() for finding in findings])
