"""Releases into an AWS account: images, stack and registration; and removes all of it.

A plan is a list of steps, made without I/O from facts collected before. A dry run prints it; a run
carries out the same list.
"""
