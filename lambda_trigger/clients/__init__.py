"""The trigger's clients of S3, SSM, SQS and Prefect, with deadlines and retries."""
