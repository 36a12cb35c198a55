"""What is registered with Prefect, and the checks of a deployed stack."""
