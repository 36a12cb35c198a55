"""Notifications as AWS sends them: fixtures with their outcomes, and tools that make and replay them."""
