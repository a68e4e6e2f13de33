"""The policy pack: `pulumi preview --policy-pack infra/policy` asks every rule of rules.py about every resource.

Does not own the rules, which the tests of infra/ also ask without an engine.
"""

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a pack is a process of its own, outside infra/
from policy.rules import RULES, STACK_RULES, Resource, Rule, StackRule


def _resource(found: ResourceValidationArgs | PolicyResource) -> Resource:
    limits = found.opts.custom_timeouts
    return Resource(
        type=found.resource_type,
        inputs=found.props,
        create_seconds=limits.create_seconds,
        update_seconds=limits.update_seconds,
    )


def _policy(name: str, rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for fault in rule.faults(_resource(args)):
            report(fault, None)  # None: the resource it was asked about

    return ResourceValidationPolicy(name=name, description=rule.description, validate=validate)


def _stack_policy(name: str, rule: StackRule) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for fault in rule.faults([_resource(found) for found in args.resources]):
            report(fault, None)  # None: the stack

    return StackValidationPolicy(name=name, description=rule.description, validate=validate)


# One policy per rule: a value that a preview cannot know yet silences its own rule only.
PolicyPack(
    name="predictions",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        *(_policy(name, rule) for name, rule in RULES.items()),
        *(_stack_policy(name, rule) for name, rule in STACK_RULES.items()),
    ],
)
