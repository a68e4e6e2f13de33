"""A training: input, the model's own process, a version, its promotion.

Does not own how any of these is done.
"""

from pathlib import Path

from service import inputs, model_process, promotions, versions
from service.logs import event
from service.receipt import Status
from service.run import Run


def train(run: Run) -> Status:
    """Make a version for the run date and promote it from that date on.

    Safe to repeat: each attempt makes its own version. A failure leaves the live version as it was.
    """
    data = inputs.prepare(run)
    output = run.folder / "output"
    # Both names lead to one folder: some models write what they learnt to model_path, others to output_path.
    words = model_process.run_model(run, data_path=data.path, model_path=output, output_path=output)
    with model_process.quoting(words):
        run.facts.metrics = model_process.metrics(output)
        manifest = _published(run, output)
    promotion = promotions.promote(
        run.clients.models, manifest.version, effective_date=run.run_date, who=run.id, why="training"
    )
    event(f"Version {manifest.version} is live from {promotion.effective_date}.", before=promotion.from_version)
    return "succeeded"


def _published(run: Run, output: Path) -> versions.Manifest:
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
        metrics=facts.metrics,
    )
    facts.model_version = manifest.version
    return manifest
