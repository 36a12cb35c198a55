"""Progress of a conversion."""

from collections.abc import Callable

# Called with the stage and the part of it that is done, 0 to 1.
Progress = Callable[[str, float], None]
