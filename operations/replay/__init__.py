"""`echodrop replay`: uploads and dead letters are sent through the trigger again."""
