"""AD2CP records: echopype's tables of fields applied to many records at once."""
