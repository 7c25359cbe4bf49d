"""From JSON back to frozen dataclasses, as their annotations say; `dataclasses.asdict` is the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def loaded(kind: type[T], form: Any) -> T:
    """An object of a dataclass. Raises ValueError where the form is another."""
    if not isinstance(form, Mapping):
        raise ValueError(f"{kind.__name__}: expected an object, got {form!r:.60}.")
    known = _hints(kind)
    unknown = form.keys() - known.keys()
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}.")
    values = {name: _value(known[name], value, f"{kind.__name__}.{name}") for name, value in form.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}.") from None


def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(get_args(hint)[0], one, where) for one in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {str(name): _value(get_args(hint)[1], one, where) for name, one in value.items()}
    if hasattr(hint, "__dataclass_fields__"):
        return loaded(hint, value)
    if hint is Any or (isinstance(hint, type) and isinstance(value, hint)) or _is_number(hint, value):
        return value
    raise ValueError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {value!r:.60}.")


def _is_number(hint: Any, value: Any) -> bool:
    """Whole numbers are numbers."""
    return hint is float and isinstance(value, int)
