"""What a text is taken apart into, and which of it an answer needs.

One rule for all languages: the smallest set of top-level items that defines what was asked
for, with everything that these need in turn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One top-level import, definition, value or statement of a text that holds code.

    ``start`` and ``end`` are its place in the text (characters), ``code`` what it says there
    without the indentation of its surroundings. It ``binds`` names, ``alters`` what others
    have bound, and ``needs`` names itself; ``members`` are the methods of its types.
    ``defines`` and ``imports`` say what kind of item it is.
    ``region`` counts the stretches of code: prose and fences part them. ``foreign``: it stands
    in a fence of another language. ``stub``: its body is yet to be written. ``always``: it
    has an effect that its names do not tell. ``key``: of two with the same one counts.
    ``passing`` are those of the names that it binds on its way, such as a loop's; ``stirs``
    are names that functions alter which it calls. ``leads``: it has to be the first.
    """

    start: int
    end: int
    code: str
    region: int
    binds: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    alters: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    defines: bool = False
    imports: bool = False
    stub: bool = False
    always: bool = False
    foreign: bool = False
    key: str | None = None
    passing: frozenset[str] = frozenset()
    stirs: frozenset[str] = frozenset()
    leads: bool = False

    def has(self, name: str) -> bool:
        """Whether it defines a name, itself or as a method of its types."""
        return name in self.binds or name in self.members


def asked(items: Sequence[Item], entry: str, *, methods: bool) -> list[Item]:
    """The items that define ``entry`` in the first stretch of code that does; maybe none.

    Code in the right language, with a body, comes before what lacks one of these, and both
    before an import. ``methods``: one of a type is as good as a function.
    """
    having = [item for item in items if item.has(entry)]
    written = [item for item in having if not item.foreign and not item.imports]
    whole = [item for item in written if not item.stub]
    functions = [item for item in whole if methods or entry in item.binds]
    for rank in (functions, whole, written, having):
        direct = [item for item in rank if item.region == rank[0].region]
        if direct:
            return [item for item in direct if entry in item.binds] or direct
    return []


def unnamed(items: Sequence[Item]) -> list[Item]:
    """Where nothing is known of what was asked for: all definitions of the first stretch."""
    for candidates in ([item for item in items if not item.foreign], items):
        regions = [item.region for item in candidates if item.defines]
        if regions:
            return [
                item
                for item in candidates
                if item.region == regions[0] and (item.binds or item.always)
            ]
    return []


def closure(items: Sequence[Item], roots: Iterable[Item], *, anywhere: bool) -> list[Item]:
    """The ``roots`` with all that they need, in the order of the text.

    A name is looked for in the stretch of code that needs it, then in those before, then in
    those behind. ``anywhere``: so are the items with an effect of their own.
    """
    roots = list(roots)
    items = _stirring(items, roots)
    starts = {item.start for item in roots}
    chosen = _with_needed(items, {item.start: item for item in items if item.start in starts})
    regions = {item.region for item in chosen.values()}
    chosen |= {
        item.start: item
        for item in items
        if item.always and (item.region in regions or (anywhere and not item.foreign))
    }
    chosen = _with_needed(items, chosen)
    return _once([chosen[start] for start in sorted(chosen)])


def _stirring(items: Sequence[Item], roots: Sequence[Item]) -> list[Item]:
    """The items, where those that call a function alter what it does; no use of the roots."""
    used = {name for item in roots for name in item.binds}
    more = True
    while more:
        users = [item for item in items if item.needs & used]
        names = {name for item in users if item.defines for name in item.binds}
        more = not names <= used
        used |= names
    return [
        dataclasses.replace(item, alters=item.alters | item.stirs)
        if item.stirs and not item.needs & used
        else item
        for item in items
    ]


def _with_needed(items: Sequence[Item], chosen: Mapping[int, Item]) -> dict[int, Item]:
    """The chosen items and all that they need, by their place."""
    found = dict(chosen)
    left = list(found.values())
    while left:
        for item in _needed(items, left.pop()):
            if item.start not in found:
                found[item.start] = item
                left.append(item)
    return found


def _needed(items: Sequence[Item], item: Item) -> list[Item]:
    found: list[Item] = []
    for name in sorted(item.needs | (item.binds - item.passing)):
        binding = [one for one in items if name in one.binds and one.start != item.start]
        solid = [one for one in binding if name not in one.passing]
        if name not in item.needs:  # bound anew
            binding = [one for one in solid if not one.imports]
        elif solid or name in item.binds:
            binding = solid
        places = {one.start for one in binding}
        regions = {one.region for one in binding}
        if name in item.binds or not regions or item.region in regions:
            regions = {item.region}
        else:
            before = [region for region in regions if region < item.region]
            regions = {max(before) if before else min(regions)}
        owners = [*binding, item] if name in item.binds else binding
        module = all(one.imports for one in owners)
        found += [
            one
            for one in items
            if one.region in regions
            and (one.start in places or (name in one.alters and not module))
        ]
    return found


def _once(items: Sequence[Item]) -> list[Item]:
    """Of items with one key the last that has a body, else the last."""
    kept: dict[str, Item] = {}
    for item in items:
        if item.key is not None:
            before = kept.get(item.key)
            if before is None or before.stub or not item.stub:
                kept[item.key] = item
    return [item for item in items if item.key is None or kept[item.key] is item]
