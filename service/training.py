"""A training: input, the model's own process, a version, its promotion.

Does not own how any of these is done.
"""

from pathlib import Path
from typing import Any

from service import inputs, model_process, promotion_gate, promotions, versions
from service.errors import BadUsage
from service.findings import judge
from service.logs import bytes_of, label, step
from service.receipt import Status
from service.run import Run


def train(run: Run) -> Status:
    """Make a version for the run date and, if it passes its gate, promote it from that date on.

    Safe to repeat: each attempt makes its own version. A failure leaves the live version as it was; a version that the
    gate refuses stays, so that a person may look at it and promote it after all.

    Raises:
        BadData: the input, the model or what it learnt is not fit for use.
    """
    if run.settings.task_count > 1:
        text = f"This training has {run.settings.task_count} tasks, and each would make the same version."
        raise BadUsage(text, "Declare its job with one task.")
    data = inputs.prepare(run)
    output = run.folder / "output"
    # Both names lead to one folder: some models write what they learnt to model_path, others to output_path.
    words = model_process.run_model(run, data_path=data.path, model_path=output, output_path=output)
    with model_process.quoting(words):
        run.facts.metrics = model_process.metrics(output)
        evaluation = promotion_gate.evaluate(run, data_path=data.path, candidate=output)
        manifest = _published(run, output, evaluation)
    _pass_gate(run, manifest)
    why = f"training, forced: {run.facts.forced}" if run.facts.forced else "training"
    promotion = promotions.promote(
        run.clients.models, manifest.version, effective_date=run.run_date, who=run.id, why=why
    )
    text = f"Version {manifest.version} is live from {promotion.effective_date}."
    step("promotion", text, before=promotion.from_version)
    return "succeeded"


def _pass_gate(run: Run, manifest: versions.Manifest) -> None:
    findings = promotion_gate.examine(run.spec.gates.promotion, manifest.metrics, manifest.evaluation)
    documents = [finding.document() for finding in findings]
    run.facts.gate = {"findings": documents, "metrics": manifest.metrics, "evaluation": manifest.evaluation}
    to_do = f"It is kept, and the live one stays. If it is right all the same: promote --version {manifest.version}"
    judge(findings, f"version '{manifest.version}'", f"{to_do} --force --reason '...'.", reason=run.force_reason)
    if findings:
        run.facts.forced = run.force_reason


def _published(run: Run, output: Path, evaluation: dict[str, Any]) -> versions.Manifest:
    settings, facts = run.settings, run.facts
    manifest = versions.publish(
        run.clients.models,
        versions.new_id(run.run_date, run.attempt),
        output,
        model=run.spec.name,
        run_date=str(run.run_date),
        run_id=run.id,
        execution=settings.execution,
        code_commit=settings.code_commit,
        image_digest=settings.image_digest,
        input_rows=facts.input_rows,
        input_fingerprint=facts.input_fingerprint,
        environment_fingerprint=facts.environment_fingerprint,
        metrics=facts.metrics,
        evaluation=evaluation,
    )
    facts.model_version = manifest.version
    label(version=manifest.version)
    step("version", f"Version {manifest.version} is kept.", bytes=bytes_of(output), files=len(manifest.files))
    return manifest
