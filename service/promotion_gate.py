"""The gate before a version goes live: limits on its metrics, and a comparison with the live version on the same data.

Does not own promotions (`promotions.py`) or how the model runs (`model_process.py`). What the evaluation said stays in
the version's manifest, so that a promotion by hand, later, is held against it without running the model.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from service import model_process, promotions, versions
from service.errors import BadData
from service.findings import Finding
from service.gate_limits import AgainstLive, PromotionLimits
from service.logs import step
from service.run import Run

Evaluation = dict[str, Any]


def evaluate(run: Run, *, data_path: Path, candidate: Path) -> Evaluation:
    """Run the model's `--action evaluation` for the new version and for the live one, on the training's input.

    Returns:
        `candidate` and `live` with their metrics, and `live_version`; `{}` when the model offers no evaluation.

    Raises:
        BadData: the model failed, or the live version is not whole.
    """
    if run.spec.evaluation is None:
        return {}
    found: Evaluation = {"candidate": evaluate_one(run, data_path, candidate, "candidate")}
    live = promotions.live_on(promotions.history(run.clients.models), run.run_date)
    if live is not None:
        folder = run.folder / "live"
        folder.mkdir()
        versions.fetch(run.clients.models, versions.read(run.clients.models, live.to_version), folder)
        found |= {"live_version": live.to_version, "live": evaluate_one(run, data_path, folder, "live")}
    step("evaluation", "The new version was evaluated.", evaluation=found)
    return found


def evaluate_one(run: Run, data_path: Path, version: Path, name: str) -> dict[str, Any]:
    """Run the model's `--action evaluation` for one version.

    Raises:
        BadData: it failed, or left no metrics.
    """
    output = run.folder / f"evaluation-{name}"
    words = model_process.run_model(
        run,
        data_path=data_path,
        model_path=version,
        output_path=output,
        action="evaluation",
        config_file=str(run.spec.evaluation),
    )
    with model_process.quoting(words):
        found = model_process.metrics(output)
        if not found:
            text = f"The evaluation of '{run.spec.name}' left no {model_process.METRICS}."
            raise BadData(text, "Make it write its metrics there, or remove `evaluation` from model.yaml.")
    return found


def examine(limits: PromotionLimits, metrics: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[Finding]:
    """Hold a version's metrics and evaluation against the limits."""
    findings = list(_metric_findings(limits, metrics))
    if limits.against_live is not None and "live" in evaluation:
        findings += _against(limits.against_live, evaluation)
    return findings


def _metric_findings(limits: PromotionLimits, metrics: Mapping[str, Any]) -> Iterator[Finding]:
    for name, limit in limits.metrics.items():
        value = metrics.get(name)
        if not is_number(value):
            yield _finding("metric", name, f"Metric '{name}' is '{value}' and not a number.")
        elif limit.minimum is not None and value < limit.minimum:
            yield _finding("metric", name, f"Metric '{name}' is {value:g}, less than {limit.minimum:g}.")
        elif limit.maximum is not None and value > limit.maximum:
            yield _finding("metric", name, f"Metric '{name}' is {value:g}, more than {limit.maximum:g}.")


def _against(limit: AgainstLive, evaluation: Mapping[str, Any]) -> Iterator[Finding]:
    name, live_version = limit.metric, evaluation["live_version"]
    new, live = (evaluation[who].get(name) for who in ("candidate", "live"))
    if not (is_number(new) and is_number(live)):
        text = f"The evaluation's metric '{name}' is '{new}' for the new version and '{live}' for '{live_version}'"
        yield _finding("against_live", name, f"{text}: both must be numbers.")
        return
    worse = (live - new) if limit.better == "higher" else (new - live)
    if worse > limit.tolerance * abs(live):
        text = f"On the same data, '{name}' is {new:g} for the new version and {live:g} for the live '{live_version}'"
        message = f"{text}; {limit.better} is better, and {limit.tolerance:.1%} worse is allowed."
        yield _finding("against_live", name, message)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a metric can be held against a limit."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _finding(rule: str, name: str, message: str) -> Finding:
    return Finding(rule=rule, column=name, count=1, examples=(), message=message)
