"""A raw file's samples: where they are, and how they come out of it without passing through echopype.

Over 95 % of a Simrad file are samples whose layout is simple. echopype opens a
skeleton of the file, in which each sample datagram holds one to three samples; the
samples themselves are read from the file, a block of pings at a time. An AD2CP file is
opened by echopype in segments, which are joined.

May import: numpy, xarray, echopype (when a file is opened), flows.outcomes.
"""
