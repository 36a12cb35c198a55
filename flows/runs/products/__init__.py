"""Products in a run: made after the outputs are published, shown in the UI, counted if they fail."""
