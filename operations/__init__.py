"""The operator's commands: show the state of every upload, and retry what failed."""
