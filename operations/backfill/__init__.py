"""`echodrop backfill`: sends the objects of an archive to the trigger."""
