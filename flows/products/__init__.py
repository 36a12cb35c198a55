"""What is made from a verified output: echogram, thumbnail, viewer store. Imports publishing and below, never Prefect."""
