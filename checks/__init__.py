"""Checks that `make check` runs in addition to the code linters."""
