"""Products of several outputs, made in a child process of its own; the record of those that fail."""
