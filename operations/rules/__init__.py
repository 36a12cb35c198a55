"""`echodrop rules`: checks a rules document, and explains what it does with an upload."""
