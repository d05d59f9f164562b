"""A bounded dict for what is dear to compute: two generations, no per-entry bookkeeping."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, overload
from weakref import WeakSet

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Cache(Generic[K, V]):
    """Holds at most `size` entries. What was read or written lately survives; the rest goes in bulk.

    Entries live in a young and an old dict. A full young dict becomes the old one, and the old one is
    forgotten; a hit in the old dict moves the entry back. That is near to least-recently-used at the
    price of a plain dict.
    """

    __slots__ = ("__weakref__", "_half", "_old", "_young", "drops", "name")

    def __init__(self, size: int, name: str = "") -> None:
        """`name`: what it is called where sizes are shown; one without is not shown."""
        self.name = name
        if name:
            _NAMED.add(self)
        self.drops = 0
        """How often something was forgotten on purpose: what was read before the latest time is not to be kept."""
        self._half = max(1, size // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + sum(1 for key in self._old if key not in self._young)

    @property
    def held(self) -> tuple[int, int]:
        """How many entries it holds, of how many at most; one may count twice. Costs nothing, unlike `len`."""
        return len(self._young) + len(self._old), 2 * self._half

    def __contains__(self, key: K) -> bool:
        return key in self._young or key in self._old

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: D | None = None) -> V | D | None:
        """The value kept under `key`, or `default`."""
        young = self._young
        if key in young:
            return young[key]
        if key in self._old:
            value = self._old[key]
            self.set(key, value)
            return value
        return default

    def set(self, key: K, value: V) -> None:
        """Keep `value` under `key`, forgetting the older generation when there is no space."""
        young = self._young
        if len(young) >= self._half and key not in young:
            self._old = young
            self._young = {key: value}
        else:
            young[key] = value

    @overload
    async def fetch(self, key: K, read: Callable[[K], Awaitable[V]]) -> V: ...
    @overload
    async def fetch(self, key: K, read: Callable[[K], Awaitable[V | None]]) -> V | None: ...
    async def fetch(self, key: K, read: Callable[[K], Awaitable[V | None]]) -> V | None:
        """The value kept under `key`, or what `read` gives for it.

        That is kept, unless it is None or something was forgotten while it was read: it may be old then.
        """
        value = self.get(key)
        if value is None:
            drops = self.drops
            value = await read(key)
            if value is not None and drops == self.drops:
                self.set(key, value)
        return value

    def pop(self, key: K) -> V | None:
        """Forget `key`; its value, or None when it was not kept."""
        self.drops += 1
        old = self._old.pop(key, None)
        young = self._young.pop(key, None)
        return old if young is None else young

    def clear(self) -> None:
        """Forget everything."""
        self.drops += 1
        self._young = {}
        self._old = {}


_NAMED: WeakSet[Cache[Any, Any]] = WeakSet()


def sizes() -> dict[str, tuple[int, int]]:
    """`held` of every cache of this process that has a name, added up by name."""
    found: dict[str, tuple[int, int]] = {}
    for cache in list(_NAMED):
        entries, most = found.get(cache.name, (0, 0))
        more, space = cache.held
        found[cache.name] = entries + more, most + space
    return found
