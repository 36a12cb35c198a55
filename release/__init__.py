"""A release into an AWS account: images, stack, registration; and taking all of it away again.

A plan is a list of steps, made without I/O from what was found out before. A dry run prints it; a run
carries out the same list.
"""
