"""Docstrings as Markdown: what roles such as :func:`name` name becomes a link, and `::` before a block goes.

Arrow: griffe's objects --> their docstrings. Does not know: pages.
"""

from __future__ import annotations

import re

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|mod|data|obj|exc):`([^`]+)`")
CODE = re.compile(r"(``.+?``|`[^`]+`)", re.S)


class Roles(griffe.Extension):
    """Rewrites every docstring of a package once it is loaded."""

    def on_package(self, *, pkg: griffe.Module, **more: object) -> None:
        """See griffe."""
        self._names: dict[str, set[str]] = {}
        self._collect(pkg)
        self._walk(pkg, pkg)

    def _collect(self, thing: griffe.Object) -> None:
        for member in thing.members.values():
            if isinstance(member, griffe.Object):
                self._names.setdefault(member.name, set()).add(member.path)
                self._collect(member)

    def _walk(self, thing: griffe.Object, package: griffe.Module) -> None:
        if thing.docstring is not None:
            thing.docstring.value = self._markdown(thing.docstring.value, thing, package)
        for member in list(thing.members.values()):
            if isinstance(member, griffe.Object):
                self._walk(member, package)

    def _markdown(self, text: str, thing: griffe.Object, package: griffe.Module) -> str:
        def linked(role: re.Match[str]) -> str:
            name = role[1].strip("~.")
            found = self._path(name, thing, package)
            if found is None and len(same := self._names.get(name, set())) == 1:
                (found,) = same
            return f"[`{name}`][{found or name}]"  # what is not found fails the build

        def escaped(piece: str) -> str:
            return piece if piece.startswith("`") else re.sub(r"<(?=[A-Za-z/])", "&lt;", piece)

        text = "".join(escaped(piece) for piece in CODE.split(text))
        return re.sub(r"::$", ":", ROLE.sub(linked, text), flags=re.M)

    def _path(self, name: str, thing: griffe.Object, package: griffe.Module) -> str | None:
        """Where what a docstring names is defined."""
        if name.startswith("tokenmask."):
            return _defined(name, package)
        scope: griffe.Object | None = thing
        while scope is not None:
            places = [scope.path]
            if isinstance(scope, griffe.Class):
                places += [_defined(str(getattr(base, "canonical_path", base)), package) or "" for base in scope.bases]
            for place in places:
                if found := _defined(f"{place}.{name}", package):
                    return found
            scope = scope.parent if isinstance(scope.parent, griffe.Object) else None
        return None


def _defined(path: str, package: griffe.Module) -> str | None:
    """The path of the definition that a path leads to through whatever hands it on."""
    first, *rest = path.split(".")
    if first != package.name:
        return None
    thing: griffe.Object = package
    for number, part in enumerate(rest):
        member = thing.members.get(part)
        if isinstance(member, griffe.Alias):
            return _defined(".".join([member.target_path, *rest[number + 1 :]]), package)
        if member is None and isinstance(thing, griffe.Class):  # a base may have it
            for base in thing.bases:
                above = _defined(str(getattr(base, "canonical_path", base)), package)
                found = _defined(".".join([above, *rest[number:]]), package) if above else None
                if found:
                    return found
        if member is None:
            return None
        thing = member
    return thing.path
