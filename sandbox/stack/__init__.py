"""Reads template.yaml, so that the sandbox runs what would be deployed."""
