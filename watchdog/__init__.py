"""The watchdog Lambda, which checks every few minutes for failures, stuck runs and silent workers."""
