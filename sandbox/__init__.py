"""Runs the whole system on one machine without docker. Each part is a process."""
