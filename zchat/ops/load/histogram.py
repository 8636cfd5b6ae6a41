"""How often each latency was measured, in little memory and to less than one percent.

The buckets are those of an HDR histogram: each power of two is cut into 128 equal ones, and so a
value is told from its neighbours by one part in 128 of it, from a microsecond to hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_BITS = 7


def bucket(microseconds: int) -> int:
    """Where a value is counted; below 256 µs each has a bucket of its own."""
    shift = microseconds.bit_length() - _BITS - 1
    return microseconds if shift <= 0 else (shift << _BITS) + (microseconds >> shift)


def highest(number: int) -> int:
    """The highest value of a bucket, in microseconds."""
    shift = (number >> _BITS) - 1
    return number if shift <= 0 else ((number - (shift << _BITS) + 1) << shift) - 1


class Histogram:
    """Latencies, counted.

    Args:
        counts: by bucket, to begin with.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})
        """By bucket."""

    def add(self, seconds: float) -> None:
        """Count one. What comes before its time, because clocks are rounded, is 0."""
        microseconds = int(seconds * 1e6) if seconds > 0 else 0
        number = bucket(microseconds)
        self.counts[number] = self.counts.get(number, 0) + 1

    def merge(self, counts: Mapping[int, int]) -> None:
        """Count what was counted elsewhere."""
        for number, count in counts.items():
            self.counts[number] = self.counts.get(number, 0) + count

    def __len__(self) -> int:
        return sum(self.counts.values())

    def percentile(self, percent: float) -> float:
        """Milliseconds within which so many percent of all are; 0 when there are none."""
        wanted = len(self) * percent / 100
        for value, _, upto in self.steps():
            if upto >= wanted:
                return value
        return 0.0

    def mean(self) -> float:
        """Milliseconds on average; 0 when there are none."""
        total = sum(value * count for value, count, _ in self.steps())
        return total / max(1, len(self))

    def steps(self) -> Iterator[tuple[float, int, int]]:
        """Each bucket from the lowest: milliseconds, how many are in it, and how many up to it."""
        upto = 0
        for number in sorted(self.counts):
            count = self.counts[number]
            upto += count
            yield highest(number) / 1000, count, upto
