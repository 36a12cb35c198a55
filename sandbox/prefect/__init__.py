"""Real Prefect servers, and a client of their API."""
