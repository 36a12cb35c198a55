"""Words for people. Pure."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 upload`, `2,000 uploads`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
