"""Benchmarks of the trigger."""
