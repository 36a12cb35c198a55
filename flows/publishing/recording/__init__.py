"""Facts about the recording for its manifest: quality and positions."""
