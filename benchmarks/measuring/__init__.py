"""What several benchmarks use: measured processes, servers and grown files."""
