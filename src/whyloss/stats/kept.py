"""What was found out once, by what it depends on. Knows nothing of what it keeps."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The last `most` things that were made, by key. A parameter that changes at every step makes one at every step.

    >>> squares = Kept[int](most=2)
    >>> [squares.get(n, lambda n=n: n * n) for n in (2, 3, 2, 4)]
    [4, 9, 4, 16]
    """

    def __init__(self, most: int = 256):
        self.most, self.found = most, OrderedDict[Hashable, T]()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self.found:
            self.found[key] = make()
            if len(self.found) > self.most:
                self.found.popitem(last=False)
        return self.found[key]
