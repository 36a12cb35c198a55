"""Makes the catalogue of an output bucket or folder: STAC, a table, and the page's list."""
