"""Timings that README.md quotes; see __main__.py."""
