"""The class of each upload, with its remedy: pure decisions from facts."""
