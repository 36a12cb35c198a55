"""AZFP files: settings in any spelling, parsers without limits, and what the output lacks."""
