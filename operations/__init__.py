"""For whoever runs the system: what became of every upload, and what mends what went wrong."""
