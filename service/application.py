"""An application: version, input, the model's own process, gate, delivery.

Does not own how any of these is done. Until the delivery nothing that readers see is touched.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

from service import data_files, delivery, gate, inputs, model_process, predictions, promotions, versions
from service.errors import BadData, BadUsage
from service.inputs import PreparedInput
from service.logs import event
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
    run.facts.table, run.facts.partition = run.settings.table, f"{run.run_date:%Y%m%d}"
    model = _fetched_version(run)
    data = inputs.prepare(run)
    output = run.folder / "output"
    words = model_process.run_model(run, data_path=data.path, model_path=model, output_path=output)
    with model_process.quoting(words):
        run.facts.metrics = model_process.metrics(output)
        content = _checked(run, data, output)
    return delivery.deliver(run, content)


def _fetched_version(run: Run) -> Path:
    promotion = promotions.live_on(promotions.history(run.clients.models), run.run_date)
    if promotion is None:
        text = f"No version of '{run.spec.name}' is live on {run.run_date}."
        raise BadUsage(
            text, f"There is nothing to apply, so train first: python -m service train --run-date {run.run_date}"
        )
    run.facts.model_version = promotion.to_version
    folder = run.folder / "model"
    folder.mkdir()
    versions.fetch(run.clients.models, versions.read(run.clients.models, promotion.to_version), folder)
    event(f"Version {promotion.to_version} is live on {run.run_date}.", since=promotion.effective_date)
    return folder


def _checked(run: Run, data: PreparedInput, output: Path) -> Content:
    """Pass the predictions through the gate and write them in the table's form.

    Raises:
        BadData: the gate has findings.
    """
    files = predictions.find(output)
    with data_files.connect(run.folder) as connection:
        findings = gate.examine(connection, files, data.files, run.spec.columns, run.spec.entity_key)
        run.facts.gate = [finding.document() for finding in findings]
        for finding in findings:
            event(f"Gate: {finding.message}", logging.ERROR, finding=finding.document())
        if findings:
            text = f"The gate refused '{files.paths[0].name}': {' '.join(finding.message for finding in findings)}"
            raise BadData(text, "Correct the model, its input or schema.json; the table keeps what it had.")
        return predictions.write(run, connection, files, datetime.now(UTC))
