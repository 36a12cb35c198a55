"""Sample files: a survey over a simulated sea, and real files grown to a size."""
