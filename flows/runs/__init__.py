"""The code between Prefect and a conversion: states, hooks, artifacts, batches. Imports all rooms but deployment."""
