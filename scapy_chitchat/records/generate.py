# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the classes of records, classes.py, from the layers.

    python -m scapy_chitchat.records.generate

They are written out, and not made while the program starts, so that an editor and a type checker see them. A test
compares the file with what this module would write.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scapy.packet import Packet

from scapy_chitchat.described.fields import KnownByteField, TagField, inner
from scapy_chitchat.described.lists import ItemsField
from scapy_chitchat.records.base import Record
from scapy_chitchat.records.values import Value, names_of, values_of
from scapy_chitchat.wire import layers

PATH = Path(__file__).with_name("classes.py")
"""The written file."""

WIDTH = 120
INDENT = "    "

_HEAD = '''\
# SPDX-License-Identifier: GPL-2.0-or-later
# Written by `python -m scapy_chitchat.records.generate` from the layers: never edited.
"""Messages and their items as plain values: what a node would read.

Lengths, counts and blocks are left out, since they follow from the values; an address and its port are one text.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, final

from scapy.packet import Packet

from scapy_chitchat.records.base import Record
from scapy_chitchat.wire import layers
'''


def generated() -> str:
    """The text of classes.py. Raises TypeError for a value that no layer documents."""
    items, messages = layers.ITEMS, layers.MESSAGES.values()
    parts = [
        *_names([*items, *messages]),
        *(item_source(layer) for layer in items),
        *_unions(messages),
        _union("Item", items, "Whatever stands in a list of a message."),
        *(message_source(layer, layers.TYPE_NAMES[layer]) for layer in messages),
        _union("Message", [layers.TYPE_NAMES[layer] for layer in messages], "A message of any type."),
        _table("ITEM_CLASSES", "Item", {layer: layer.__name__ for layer in items}),
        _table("MESSAGE_CLASSES", "Message", {layer: layers.TYPE_NAMES[layer] for layer in messages}),
    ]
    return f"{_HEAD}\n" + "\n\n".join(parts)


def item_source(layer: type[Packet]) -> str:
    """The class of an item's layer: the layer's name and, where it has a tag, that as ``op`` in JSON."""
    tag = layer.fields_desc[0]
    tagged = f', tag_field="op", tag="{tag.default_name()}"' if isinstance(tag, TagField) else ""
    fields = (_field(layer, value.name, value.annotation) for value in values_of(layer))
    return _class(layer, layer.__name__, tagged, fields)


def message_source(layer: type[Packet], name: str) -> str:
    """The class of the layer of a message of type ``name``. Lists come last; what stands in every header has its
    default, and so has everything behind it."""
    fields = [
        _field(layer, "version", "int", "0"),
        _field(layer, "type", f'Literal["{name}"]', f'"{name}"'),
        *(_field(layer, value.name, _in_message(value), value.default) for value in _lists_last(layer)),
    ]
    return _class(layer, name, "", fields)


def made_for(source: str, name: str) -> type[Record]:
    """The class ``name`` of a source: for the layers of another description, which has no written file."""
    names: dict[str, type[Record]] = {}
    exec(compile(f"{_HEAD}\n\n{source}", f"<record {name}>", "exec"), names)  # noqa: S102
    return names[name]


# --- parts of the text ---


def _lists_last(layer: type[Packet]) -> list[Value]:
    return sorted(values_of(layer), key=lambda value: isinstance(value.field, ItemsField))


def _in_message(value: Value) -> str:
    """The type of a message's value: items of several kinds by the name that they have together."""
    several = isinstance(value.field, ItemsField) and len(value.field.layers) > 1
    return f"tuple[{_union_name(value.field)}, ...]" if several else value.annotation


def _union_name(field: ItemsField) -> str:
    return f"{field.name.title()}Item"


def _names(described: Iterable[type[Packet]]) -> Iterator[str]:
    """For each value that is a name of an enum, which names there are. Raises TypeError where two have one name."""
    known: dict[str, str] = {}
    for value in (value for layer in described for value in values_of(layer)):
        if isinstance(value.field, KnownByteField):
            names = names_of(value.field)
            if known.setdefault(value.annotation, names) != names:
                raise TypeError(f"{value.name}: two fields of this name that are numbers of different enums")
    for name, names in known.items():
        yield f'{name}: TypeAlias = {names}\n"""What a {name.lower()} may be."""\n'


def _unions(messages: Iterable[type[Packet]]) -> Iterator[str]:
    """For each list of items of several kinds, their union."""
    fields = {field.name: field for layer in messages for field in map(inner, layer.fields_desc)}
    for field in fields.values():
        if isinstance(field, ItemsField) and len(field.layers) > 1:
            yield _union(_union_name(field), field.layers, f"What may stand in a {field.name}.")


def _union(name: str, members: Sequence[type[Packet] | str], doc: str) -> str:
    names = " | ".join(each if isinstance(each, str) else each.__name__ for each in members)
    return f'{name}: TypeAlias = {names}\n"""{doc}"""\n'


def _class(layer: type[Packet], name: str, arguments: str, fields: Iterable[str]) -> str:
    doc = _docstring(" ".join((layer.__doc__ or "").split("\n\n")[0].split()))
    return "\n".join(["@final", f"class {name}(Record, frozen=True, gc=False{arguments}):", doc, "", *fields, ""])


def _field(layer: type[Packet], name: str, annotation: str, default: str = "") -> str:
    docs: dict[str, str] = layer.field_docs
    if name not in docs:
        raise TypeError(f"{layer.__name__}.{name}: no record without a word in field_docs on what it is")
    line = f"{INDENT}{name}: {annotation}"
    return f"{line}{f' = {default}' if default else ''}\n{_docstring(docs[name])}"


def _docstring(text: str) -> str:
    quoted = f'"""{text}"""'
    return textwrap.fill(quoted, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def _table(name: str, kind: str, classes: dict[type[Packet], str]) -> str:
    rows = "".join(f"{INDENT}layers.{layer.__name__}: {made},\n" for layer, made in classes.items())
    doc = f"The class of each layer that is {'a message' if kind == 'Message' else 'an item'}."
    return f'{name}: dict[type[Packet], type[{kind}]] = {{\n{rows}}}\n"""{doc}"""\n'


if __name__ == "__main__":
    PATH.write_text(generated(), encoding="utf-8")
    print(f"{PATH} written")
