"""Sample files: a survey over a simulated sea."""
