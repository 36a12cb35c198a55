"""The trigger: an S3 notification in, a Prefect flow run out.

Standard library and urllib3 alone, both of which the Lambda runtime carries;
docs/decisions/trigger-start-up.md says why.
"""
