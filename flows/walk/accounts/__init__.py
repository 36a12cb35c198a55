"""The account: for each format, where each field of its datagrams is in the output, or why not."""
