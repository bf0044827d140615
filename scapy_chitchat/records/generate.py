# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the classes of records, classes.py, from the layers.

    python -m scapy_chitchat.records.generate

They are written out, and not made while the program starts, so that an editor and a type checker see them. A test
compares the file with what this module would write.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from scapy.packet import Packet

from scapy_chitchat.described.facts import FACTS
from scapy_chitchat.described.fields import TagField
from scapy_chitchat.described.lists import ItemsField
from scapy_chitchat.described.messages import type_name
from scapy_chitchat.described.packet import WirePacket
from scapy_chitchat.records.base import Record
from scapy_chitchat.records.values import NOTHING_CARRIED, Alias, Carried, carried_by, message_fields, record_fields
from scapy_chitchat.wire import layers

PATH = Path(__file__).with_name("classes.py")
"""The written file."""

WIDTH = 120
"""How long a line may be."""

INDENT = "    "
"""What stands before the body of a class."""

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
    """The text of classes.py. Raises TypeError for a value that no layer has a word on."""
    items: dict[type[Packet], str] = {layer: layer.__name__ for layer in layers.ITEMS}
    lists = {layer: of for of in _lists(layers.MESSAGES.values()) for layer in of.all_layers()}
    messages: dict[type[Packet], str] = {layer: type_name(layer) for layer in layers.MESSAGES.values()}
    for layer in (*items, *messages):
        _demand_docs(layer)
    parts = [
        *(item_source(layer, carried_by(layer, lists[layer])) for layer in items),
        *(_alias(each) for each in _aliases([*items, *messages])),
        _alias(Alias("Item", " | ".join(items.values()), "Whatever stands in a list of a message.")),
        *map(message_source, messages),
        _alias(Alias("Message", " | ".join(messages.values()), "A message of any type.")),
        _table("ITEM_CLASSES", "Item", items),
        _table("MESSAGE_CLASSES", "Message", messages),
    ]
    return f"{_HEAD}\n\n" + "\n\n".join(parts)


def item_source(layer: type[Packet], carried: Carried = NOTHING_CARRIED) -> str:
    """The class of an item's layer: the layer's name and, where it has a tag, that as ``op`` in JSON.

    What it carries of its section may be missing, and is not written when the item is.
    """
    tag = layer.fields_desc[0]
    tagged = f', tag_field="op", tag="{cast(TagField, tag).default_name()}"' if FACTS.of(tag).is_tag else ""
    fields = [_value(layer, kind.name(field), kind.annotation(field)) for field, kind in record_fields(layer)]
    for field, kind in carried.fields():
        said = _docs(cast(type[Packet], carried.section)).get(kind.name(field), "")
        doc = f"{said} The section says it; it is not written."
        fields.append(_line(kind.name(field), f"{kind.annotation(field)} | None", "None", doc))
    return _class(layer, layer.__name__, tagged, fields)


def message_source(layer: type[Packet]) -> str:
    """The class of a message's layer, named as its type. What stands in every header has a default, and so has all
    that follows."""
    name = type_name(layer)
    fields = [
        _value(layer, "version", "int", "0"),
        _value(layer, "type", f'Literal["{name}"]', f'"{name}"'),
        *(
            _value(layer, kind.name(field), kind.annotation(field), kind.default(field))
            for field, kind in message_fields(layer)
        ),
    ]
    return _class(layer, name, "", fields)


def made_for(source: str, name: str) -> type[Record]:
    """The class ``name`` of a source: for the layers of another description, which has no written file."""
    names: dict[str, type[Record]] = {}
    exec(compile(f"{_HEAD}\n\n{source}", f"<record {name}>", "exec"), names)  # noqa: S102
    return names[name]


# --- parts of the text ---


def _demand_docs(layer: type[Packet]) -> None:
    for name in (kind.name(field) for field, kind in record_fields(layer)):
        if name not in _docs(layer):
            raise TypeError(f"{layer.__name__}.{name}: field_docs has no word on what it is")


def _lists(messages: Iterable[type[Packet]]) -> Iterator[ItemsField]:
    for field, kind in (each for layer in messages for each in record_fields(layer)):
        items = kind.items(field)
        if items is not None:
            yield items


def _docs(layer: type[Packet]) -> Mapping[str, str]:
    return cast(type[WirePacket], layer).field_docs


def _aliases(described: Iterable[type[Packet]]) -> Iterator[Alias]:
    """The named types of values. Raises TypeError where two have one name."""
    known: dict[str, Alias] = {}
    for field, kind in (each for layer in described for each in record_fields(layer)):
        alias = kind.alias(field)
        if alias and known.setdefault(alias.name, alias) != alias:
            raise TypeError(f"{alias.name}: {known[alias.name].meaning} for one field, {alias.meaning} for another")
    yield from known.values()


def _alias(alias: Alias) -> str:
    return f'{alias.name}: TypeAlias = {alias.meaning}\n"""{alias.doc}"""\n'


def _class(layer: type[Packet], name: str, arguments: str, fields: Iterable[str]) -> str:
    doc = _docstring(" ".join((layer.__doc__ or "").split("\n\n")[0].split()))
    return "\n".join(["@final", f"class {name}(Record, frozen=True, gc=False{arguments}):", doc, "", *fields, ""])


def _value(layer: type[Packet], name: str, annotation: str, default: str = "") -> str:
    return _line(name, annotation, default, _docs(layer).get(name, ""))


def _line(name: str, annotation: str, default: str, doc: str) -> str:
    line = f"{INDENT}{name}: {annotation}{f' = {default}' if default else ''}"
    return f"{line}\n{_docstring(doc)}" if doc else line


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
