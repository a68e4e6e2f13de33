"""Tests of the Pulumi program. A package, so that its names do not meet those of other tests."""
