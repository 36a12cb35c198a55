"""What `make check` runs beside the linters of the code."""
