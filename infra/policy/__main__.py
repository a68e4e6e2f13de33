"""The policy pack: `pulumi preview --policy-pack infra/policy` asks every rule of rules.py about every resource.

Does not own the rules, which the tests of infra/ also ask without an engine.
"""

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a pack is a process of its own, outside infra/
from policy.rules import RULES, Rule


def _policy(name: str, rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for fault in rule.faults(args.resource_type, args.props):
            report(fault, None)  # None: the resource it was asked about

    return ResourceValidationPolicy(name=name, description=rule.description, validate=validate)


# One policy per rule: a value that a preview cannot know yet silences its own rule only.
PolicyPack(
    name="predictions",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[_policy(name, rule) for name, rule in RULES.items()],
)
