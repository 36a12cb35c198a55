"""Clients of S3, ECS, Prefect and the trigger's decision, and their settings."""
