"""Reads a raw file's samples from the file itself, without echopype.

Over 95 % of a Simrad file are samples with a simple layout. echopype opens a skeleton
of the file, in which each sample datagram has one to three samples. The samples are
read from the file, a block of pings at a time. Of an AD2CP file echopype opens some
records of each layout, and its tables read the others.

May import: numpy, xarray, echopype (when a file is opened), flows.core.outcomes.
"""
