"""Does a run once more, with the version it had and the input of its run date, and compares what comes out.

Delivers nothing, promotes nothing and writes no receipt. Does not own the steps (`inputs.py`, `model_process.py`).
"""

from pathlib import Path
from typing import Any

from service import data_files, fingerprint, inputs, model_process, objects, predictions, versions
from service.errors import BadData, BadUsage
from service.inputs import PreparedInput
from service.logs import event
from service.run import Run

# What to do about what differs, the first cause first.
REMEDIES = {
    "input": "See what changed in the source tables.",
    "environment": "The model's libraries differ: replay it with those of its requirements.txt of that day.",
    "output": "The code or chance differs: compare the code with the receipt's commit, and seed every random number.",
}


def replay(run: Run, receipt: dict[str, Any]) -> dict[str, Any]:
    """Recompute a run and compare fingerprints.

    Returns:
        What was compared; each entry is the same then and now.

    Raises:
        BadUsage: the run did not succeed, or this is another image.
        BadData: input or output differ; the text says which.
    """
    if receipt["status"] != "succeeded":
        raise BadUsage(f"Run '{receipt['run_id']}' {receipt['status']}.", "Name a run that succeeded.")
    if receipt["image_digest"] != run.settings.image_digest:
        raise _other_image(run, receipt)
    run.facts.model_version = receipt["model_version"]
    manifest = versions.read(run.clients.models, receipt["model_version"])
    data = inputs.prepare(run)
    if receipt.get("tasks"):
        return _replay_tasks(run, receipt, data)
    output = run.folder / "output"
    model = run.folder / "model" if run.action.name == "application" else output
    if run.action.name == "application":
        model.mkdir()
        versions.fetch(run.clients.models, manifest, model)
    words = model_process.run_model(run, data_path=data.path, model_path=model, output_path=output)
    then: dict[str, Any] = {"input": receipt["input_fingerprint"]}
    now: dict[str, Any] = {"input": run.facts.input_fingerprint}
    if receipt.get("environment_fingerprint"):  # receipts of earlier releases have none
        then["environment"], now["environment"] = receipt["environment_fingerprint"], run.facts.environment_fingerprint
    with model_process.quoting(words):
        if run.action.name == "application":
            then["output"], now["output"] = receipt["output_fingerprint"], _fingerprint(run, receipt, output)
        else:
            then["output"] = {name: file["sha256"] for name, file in manifest.files.items()}
            now["output"] = _digests(output)
    return _compared(receipt["run_id"], then, now)


def _other_image(run: Run, receipt: dict[str, Any]) -> BadUsage:
    digests = receipt["image_digest"], run.settings.image_digest
    then, now = (f"in image '{digest}'" if digest else "by hand" for digest in digests)
    text = f"Run '{receipt['run_id']}' was made {then}, and this is {now}: other code or libraries prove nothing."
    if not receipt["image_digest"]:
        return BadUsage(text, "Replay it by hand, at the receipt's commit.")
    job = receipt["execution"].rpartition("-")[0]
    command = f"gcloud run jobs execute {job} --region={run.settings.location} --tasks=1"
    to_do = "Replay it in that image, which the job has until the next deployment changes it"
    return BadUsage(text, f"{to_do}: {command} --args=replay,--run-id={receipt['run_id']}")


def _replay_tasks(run: Run, receipt: dict[str, Any], data: PreparedInput) -> dict[str, Any]:
    """Each task's share in its turn: a model may predict otherwise for a row among other rows."""
    model = run.folder / "model"
    model.mkdir()
    versions.fetch(run.clients.models, versions.read(run.clients.models, receipt["model_version"]), model)
    made, words = [], ""
    for task in range(receipt["tasks"]):
        with data_files.connect(run.folder) as connection:
            share = inputs.share_of(run, connection, data.files, task, receipt["tasks"])
            rows = connection.execute(data_files.select("count(*)", share.relation())).fetchone() or (0,)
            path = inputs.written(connection, share, run.folder / f"data-{task}.{run.action.input.format}")
        if rows[0]:
            output = run.folder / f"output-{task}"
            words = model_process.run_model(run, data_path=path, model_path=model, output_path=output)
            with model_process.quoting(words):
                made.append(_fingerprint(run, receipt, output))
    then = {"input": receipt["input_fingerprint"], "output": receipt["output_fingerprint"]}
    now = {"input": run.facts.input_fingerprint, "output": fingerprint.combined(made)}
    return _compared(receipt["run_id"], then, now)


def _fingerprint(run: Run, receipt: dict[str, Any], output: Path) -> str:
    made_at = predictions.parsed_time(receipt["predicted_at"])
    with data_files.connect(run.folder) as connection:
        content = predictions.write(run, connection, predictions.find(output), made_at)
        return predictions.fingerprinted(run, connection, content)[1]


def _digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): objects.sha256(path) for path in paths}


def _compared(run_id: str, then: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    differing = [name for name in then if then[name] != now[name]]
    event(f"Run '{run_id}' was replayed.", then=then, now=now)
    if differing:
        told = "; ".join(f"the {name} was '{then[name]}' and is '{now[name]}'" for name in differing)
        why = next(remedy for name, remedy in REMEDIES.items() if name in differing)
        raise BadData(f"Run '{run_id}' does not repeat: {told}.", why)
    return {"run_id": run_id, "same": now}
