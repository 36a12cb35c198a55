"""Edits of single datagrams for echopype: what it cannot read is repaired and noted, or left out.

Each module edits one kind of datagram: bytes in, bytes out, and a sentence for each repair. A value
that the file does not have is NaN or absent. `restored` puts back what echopype cannot be given.
"""
