"""The trigger: an S3 notification in, a Prefect flow run out.

It uses the standard library, the urllib3 of Lambda's runtime, and powertools'
logger and metrics. docs/decisions/trigger-start-up.md gives the reasons.
"""
