"""What the gallery's page costs in a browser."""
