"""`echodrop reconcile` and `echodrop status`, and the scheduled reconciliation."""
