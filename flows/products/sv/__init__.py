"""Sv of an output by blocks of pings: panels, calibration, depths and bins, positions."""
