# SPDX-License-Identifier: GPL-2.0-or-later
"""How a command is declared: a function, its options in groups, and its help with examples.

A parameter of a command's function whose type is a dataclass is a *group* of options: each field of the dataclass is an
option of the command, declared there with ``Annotated``, and the function is given the object. So options that several
commands share stand in one class; a field that is added there is an option of all of them. ``PANEL`` of the class is
the heading under which the help shows them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib import import_module
from typing import Annotated, Any, get_args, get_type_hints

import typer


@dataclass(frozen=True)
class Command:
    """A command, as its module declares it under the name ``COMMAND``."""

    run: Callable[..., int | None]
    """Does it, and gives the exit code; None is 0. Its parameters are the options."""
    examples: tuple[str, ...]
    """Whole command lines; at the end of the help."""
    more: str = ""
    """The help behind the first sentence, in paragraphs."""
    bare: bool = False
    """Whether it does something without arguments, instead of showing its help."""


@dataclass(frozen=True)
class Group:
    """A command that has commands of its own, as its package declares it under the name ``GROUP``."""

    commands: Mapping[str, str]
    """The commands, each a module of the package, with the first sentence of its help."""
    examples: tuple[str, ...]
    """Whole command lines; at the end of the help."""


def add_commands(app: typer.Typer, package: str, commands: Mapping[str, str], words: Collection[str] | None) -> None:
    """Add the commands of a package: those among ``words`` (or all) with options, the others only to be listed."""
    for name, first in commands.items():
        if words is not None and name not in words:
            app.command(name, help=first)(_only_listed)
            continue
        module = import_module(f"{package}.{name.replace('-', '_')}")
        declared = getattr(module, "COMMAND", None) or module.GROUP
        if isinstance(declared, Group):
            group = typer.Typer(help=_help(first, "", declared.examples), no_args_is_help=True, rich_markup_mode="rich")
            add_commands(group, module.__name__, declared.commands, words)
            app.add_typer(group, name=name)
        else:
            text = _help(first, declared.more, declared.examples)
            app.command(name, help=text, no_args_is_help=not declared.bare)(flattened(declared.run))


def _only_listed() -> None:
    """A command that is not named on this command line, so that its module was not imported."""


def _help(first: str, more: str, examples: tuple[str, ...]) -> str:
    """The text of ``-h``: paragraphs are as wide as the terminal, whatever their width in the source."""
    paragraphs = [" ".join(each.split()) for each in (first, *more.strip().split("\n\n")) if each]
    shown = "\n".join(f"  {line}" for each in examples for line in each.splitlines())
    return "\n\n".join([*paragraphs, "Examples:" if len(examples) > 1 else "Example:", shown])


def flattened(run: Callable[..., int | None]) -> Callable[..., None]:
    """The function with each group of options replaced by its options, as the framework wants it.

    Raises ValueError where two groups have options of one name.
    """
    hints = get_type_hints(run, include_extras=True)
    groups: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    for each in inspect.signature(run).parameters.values():
        hint = hints[each.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[each.name] = hint
            parameters += _options_of(hint)
        else:
            parameters.append(each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint))

    def command(**given: Any) -> None:
        made = {
            name: group(**{each.name: given.pop(each.name) for each in fields(group)}) for name, group in groups.items()
        }
        raise typer.Exit(run(**given, **made) or 0)

    command.__name__, command.__doc__ = run.__name__, run.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _options_of(group: type) -> list[inspect.Parameter]:
    """The fields of a group as parameters of a function, in the panel of the class that declares them."""
    hints = get_type_hints(group, include_extras=True)
    made = []
    for each in fields(group):
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        home = next(base for base in group.__mro__ if each.name in inspect.get_annotations(base))
        made.append(
            inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if default is MISSING else default,
                annotation=_in_panel(hints[each.name], home.__dict__.get("PANEL")),
            )
        )
    return made


def _in_panel(hint: Any, panel: str | None) -> Any:
    """The annotation of an option, shown in that panel of the help unless the option names one itself."""
    value, option = get_args(hint)
    if panel is None or option.rich_help_panel:
        return hint
    option = copy(option)
    option.rich_help_panel = panel
    return Annotated[value, option]
