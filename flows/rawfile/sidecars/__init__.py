"""The `.bot` and `.idx` of a raw file: what they hold, whether they fit it, and their variables."""
