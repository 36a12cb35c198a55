"""`echodrop draw`: makes the products of outputs that exist already, here or in runs of the backfill lane."""
