"""The page of the options of each tokenizer's fit, read off its sources: what `tokenmask fit MODALITY --help` says.

Arrow: modalities/*/*.py --**page**--> Markdown. Does not know: mkdocs; imports nothing of what it reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tokenmask.docstrings import args_of

SKIPPED = {"cls", "items", "seed", "folder", "progress"}
Options = list[tuple[str, str, str]]  # name, default, words


def page(modalities: Path) -> str:
    """Options of every tokenizer that learns.

    Args:
        modalities: the folder of their sources.
    """
    lines = [
        "# Options of tokenizers",
        "",
        "Each is given to `tokenmask fit` with `--option KEY=VALUE`, to a recipe under `streams.NAME.fit`, and to the",
        "`fit` of its class; `tokenmask fit MODALITY --help` prints them. What has no default follows from the data or",
        "from the others.",
    ]
    for name, options in options_of_all(modalities).items():
        lines += ["", f"## {name}", "", "| option | default | what it is |", "|---|---|---|"]
        shown = ((key, f"`{default}`" if default else "", words.replace("|", "\\|")) for key, default, words in options)
        lines += [f"| `{key}` | {default} | {words} |" for key, default, words in shown]
    return "\n".join(lines) + "\n"


def options_of_all(modalities: Path) -> dict[str, Options]:
    """Name of the tokenizer -> its options, in the order of the code."""
    sources = sorted(modalities.rglob("*.py"))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources]
    classes = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    found: dict[str, Options] = {}
    for one in classes.values():
        fit = next((node for node in one.body if isinstance(node, ast.FunctionDef) and node.name == "fit"), None)
        name = _said(one, "name")
        if fit is not None and name is not None:
            found[str(ast.literal_eval(name))] = list(_options(one, fit, classes))
    return dict(sorted(found.items()))


def _options(
    one: ast.ClassDef, fit: ast.FunctionDef, classes: Mapping[str, ast.ClassDef]
) -> Iterator[tuple[str, str, str]]:
    told, behind = args_of(ast.get_docstring(fit)), _said(one, "config_class")
    home = classes.get(ast.unparse(behind)) if behind is not None else None
    for argument, default in zip(fit.args.kwonlyargs, fit.args.kw_defaults, strict=True):
        if argument.arg in SKIPPED:
            continue
        names = re.findall(r"\w+", ast.unparse(argument.annotation)) if argument.annotation else []
        config = next((classes[name] for name in names if name in classes and _is_dataclass(classes[name])), None)
        if config is None:
            yield argument.arg, _default(default), _about(argument.arg, told, home, classes)
            continue
        own = args_of(ast.get_docstring(config))
        for field in config.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                name = field.target.id
                yield f"{argument.arg}.{name}", _default(field.value), _about(name, own, config, classes)


def _about(name: str, told: Mapping[str, str], home: ast.ClassDef | None, classes: Mapping[str, ast.ClassDef]) -> str:
    """What is said of an option; where that is "see CLASS", or nothing, what the class says."""
    words = told.get(name, "")
    if words and not words.startswith("see "):
        return words
    known = [classes[one] for one in re.findall(r"\w+", words) if one in classes] + ([home] if home else [])
    found = (args_of(ast.get_docstring(one)).get(name) for one in known)
    return next((one for one in found if one and not one.startswith("see ")), words)


def _said(one: ast.ClassDef, name: str) -> ast.expr | None:
    """The value of a class variable."""
    for node in one.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node.value
    return None


def _is_dataclass(one: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(mark) for mark in one.decorator_list)


def _default(value: ast.expr | None) -> str:
    """As Python writes the value, that of ``field(default=...)`` too; "" for one that is made, or none."""
    if isinstance(value, ast.Call):
        value = next((one.value for one in value.keywords if one.arg == "default"), value)
    try:
        found = ast.literal_eval(value) if value is not None else None
    except ValueError:
        return ""
    return "" if found is None else repr(found)
