"""Notifications in AWS's formats: fixtures with their outcomes, and tools that make and replay them."""
