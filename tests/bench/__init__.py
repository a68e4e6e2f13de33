"""Tests of bench/: that its table is whole and that the cheapest figures can be measured."""
