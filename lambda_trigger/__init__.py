"""The trigger: an S3 notification in, a Prefect flow run out.

Standard library, the urllib3 that Lambda's runtime brings, and powertools'
logger and metrics; docs/decisions/trigger-start-up.md says why.
"""
