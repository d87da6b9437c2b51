"""`counted`: a number and its noun, as people write them."""

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
