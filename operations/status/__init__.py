"""`echodrop status`: whether the system is healthy, and what became of uploads."""
