"""The shape of the settings: which places exist, and of which kind. Pure.

A place (`Loc`) is a path of table names and list positions: ("apps", 0, "fcm", "rate_per_s").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

Loc = tuple[str | int, ...]


def dotted(loc: Loc) -> str:
    """Name a place as people read it: apps[0].fcm.rate_per_s."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in loc)
    return text.removeprefix(".")


def variable(loc: Loc) -> str:
    """Name a place as an environment variable does, without the prefix."""
    return "__".join(str(key) for key in loc).upper()


def parse_variable(name: str) -> Loc:
    """Read a place from a variable's name, without the prefix."""
    parts = name.lower().split("__")
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def field_of(model: type[BaseModel], loc: Loc) -> FieldInfo:
    """The field at a place. Raises KeyError where there is none."""
    current: type[BaseModel] | None = model
    found: FieldInfo | None = None
    for key in loc:
        if isinstance(key, int):
            if found is None or not is_list_type(found.annotation):
                raise KeyError(loc)
            continue
        if current is None or key not in current.model_fields:
            raise KeyError(loc)
        found = current.model_fields[key]
        current = model_in(found.annotation)
    if found is None:
        raise KeyError(loc)
    return found


def exists(model: type[BaseModel], loc: Loc) -> bool:
    """Whether there is such a setting."""
    try:
        field_of(model, loc)
    except KeyError:
        return False
    return True


def model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The table at a place, if there is a table."""
    return model_in(field_of(model, loc).annotation) if loc else model


def leaves(model: type[BaseModel], at: Loc = ()) -> Iterator[Loc]:
    """Every single setting; for a list of tables, those of its first."""
    for name, info in model.model_fields.items():
        inner = model_in(info.annotation)
        place = (*at, name)
        if inner is None:
            yield place
        else:
            yield from leaves(inner, (*place, 0) if is_list_type(info.annotation) else place)


def is_path(model: type[BaseModel], loc: Loc) -> bool:
    """Whether a setting names a file."""
    return exists(model, loc) and Path in parts_of(field_of(model, loc).annotation)


def is_secret(model: type[BaseModel], loc: Loc) -> bool:
    """Whether a value must never be shown."""
    return exists(model, loc) and SecretStr in parts_of(field_of(model, loc).annotation)


def takes_empty(model: type[BaseModel], loc: Loc) -> bool:
    """Whether "" is a value of a setting, and not the want of one."""
    field = field_of(model, loc)
    if Path in parts_of(field.annotation):
        return not field.is_required()
    if is_list_type(field.annotation):
        return True
    whole: Any = field.annotation
    if field.metadata:
        whole = Annotated[field.annotation, *field.metadata]
    try:
        TypeAdapter(whole).validate_python("")
    except ValidationError:
        return False
    return True


def is_list(model: type[BaseModel], loc: Loc) -> bool:
    """Whether a setting takes several values."""
    return is_list_type(field_of(model, loc).annotation) and not isinstance(loc[-1], int)


def is_text(model: type[BaseModel], loc: Loc) -> bool:
    """Whether any text is taken as it is."""
    parts = parts_of(field_of(model, loc).annotation)
    return not is_list(model, loc) and bool({str, SecretStr, Path} & set(parts))


def is_list_type(annotation: Any) -> bool:
    """Whether a type is a list of something."""
    return get_origin(annotation) is tuple


def parts_of(annotation: Any) -> list[Any]:
    """The plain types inside a type."""
    if get_origin(annotation) is Annotated:
        return parts_of(get_args(annotation)[0])
    inner = get_args(annotation)
    return [part for arg in inner for part in parts_of(arg)] if inner else [annotation]


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The table type inside a type, if there is one."""
    for part in parts_of(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def walk(data: Any, at: Loc = ()) -> list[Loc]:
    """Every place in nested data that holds a single value."""
    if isinstance(data, dict):
        return [loc for key, value in data.items() for loc in walk(value, (*at, key))]
    if isinstance(data, list | tuple):
        return [loc for i, value in enumerate(data) for loc in walk(value, (*at, i))]
    return [at]


def get(data: Any, loc: Loc) -> Any:
    """The value at a place that `walk` named."""
    for key in loc:
        data = data[key]
    return data


def put(data: Any, loc: Loc, value: Any) -> None:
    """Replace the value at a place that `walk` named."""
    get(data, loc[:-1])[loc[-1]] = value
