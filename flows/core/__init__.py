"""What every other room speaks of: outcomes, locations, the request, progress. Imports no other room."""
