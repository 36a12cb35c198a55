"""Numbers of things, in words."""


def counted(number: int, thing: str) -> str:
    """`1 object`, `1,234 objects`; `thing` is a noun whose plural ends in s."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
