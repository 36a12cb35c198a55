"""Chaos: mixed files dropped while the system's parts are killed at random; and what came of it."""
