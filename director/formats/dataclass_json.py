"""Dataclasses from JSON, as their annotations say; `dataclasses.asdict` is the other direction.

The types are those of JSON, `tuple[T, ...]`, `list[T]`, mappings with text as keys, `T | None`, other
dataclasses and Any. A type with a form of its own needs a reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[str, Any], Any]  # takes a field's name and its JSON value; raises ValueError

_MAX_SHOWN = 60  # characters of a wrong value in a message


class Loader:
    """Makes dataclasses; `readers` reads the types that have a form of their own."""

    def __init__(self, readers: Mapping[Any, Reader] | None = None) -> None:
        self._own = readers or {}
        self._of_types: dict[type, tuple[dict[str, Reader], list[str]]] = {}

    def load(self, kind: type[T], form: Any) -> T:
        """A `kind`; fields with a default may be left out. Raises ValueError, which names the field."""
        if not isinstance(form, Mapping):
            raise ValueError(f"{kind.__name__}: expected an object, got {shown(form)}.")
        readers, required = self._fields_of(kind)
        for name in form:
            if name not in readers:
                raise ValueError(f"{kind.__name__} has no field {name!r}.")
        for name in required:
            if name not in form:
                raise ValueError(f"{kind.__name__} needs the field {name!r}.")
        return kind(**{name: readers[name](f"{kind.__name__}.{name}", value) for name, value in form.items()})

    def _fields_of(self, kind: Any) -> tuple[dict[str, Reader], list[str]]:
        """The readers of a dataclass's fields, and the names of those without a default."""
        if kind not in self._of_types:
            hints = get_type_hints(kind)
            readers = {field.name: self._reader(hints[field.name]) for field in fields(kind)}
            required = [
                field.name
                for field in fields(kind)
                if field.default is MISSING and field.default_factory is MISSING
            ]
            self._of_types[kind] = readers, required
        return self._of_types[kind]

    def _reader(self, hint: Any) -> Reader:
        origin, inner = get_origin(hint), get_args(hint)
        if hint in self._own:
            return self._own[hint]
        if hint is Any:
            return lambda _, value: value
        if is_dataclass(hint) and isinstance(hint, type):
            return lambda _, value: self.load(hint, value)
        if origin in (list, tuple):
            return _sequence(origin, self._reader(inner[0]))
        if origin in (dict, Mapping):
            return _mapping(self._reader(inner[1]))
        if NoneType in inner:
            (inner_reader,) = (self._reader(kind) for kind in inner if kind is not NoneType)
            return lambda name, value: None if value is None else inner_reader(name, value)
        return _number if hint is float else _exactly(hint)


def shown(value: Any) -> str:
    """A wrong value as a message shows it."""
    return f"{value!r:.{_MAX_SHOWN}}"


def _sequence(kind: Callable[[Any], Sequence[Any]], item: Reader) -> Reader:
    def read(name: str, value: Any) -> Sequence[Any]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name}: expected a list, got {shown(value)}.")
        return kind(item(name, part) for part in value)

    return read


def _mapping(item: Reader) -> Reader:
    def read(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}: expected an object, got {shown(value)}.")
        return {str(key): item(name, part) for key, part in value.items()}

    return read


def _exactly(kind: type) -> Reader:
    """A bool is not an int here."""

    def read(name: str, value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{name}: expected {kind.__name__}, got {shown(value)}.")
        return value

    return read


def _number(name: str, value: Any) -> float:
    """A float; whole numbers are numbers, too."""
    if type(value) not in (int, float):
        raise ValueError(f"{name}: expected a number, got {shown(value)}.")
    number: float = value
    return number


load = Loader().load
