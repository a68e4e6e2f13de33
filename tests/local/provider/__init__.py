"""Tests of the provider. A package, so that its names do not meet those of other tests."""
