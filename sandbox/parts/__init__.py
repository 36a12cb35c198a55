"""The sandbox's processes: how they start, restart and end."""
