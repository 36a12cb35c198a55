"""S3, http and local files: reads by ranges, writes, and turns errors into outcomes. Imports core."""
