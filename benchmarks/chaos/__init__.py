"""Chaos tests: uploads many files while parts of the system are killed at random, then checks every file."""
