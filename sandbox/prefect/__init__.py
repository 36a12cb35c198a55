"""Real Prefect servers and workers, and a stand-in for Prefect Cloud."""
