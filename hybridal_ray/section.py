"""What all sections of a configuration have in common."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A part of the configuration; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        items = value if isinstance(value, list | tuple) else [value]
        annotation = cls.model_fields[str(info.field_name)].annotation
        if any(isinstance(item, bool) for item in items) and _holds_numbers(annotation):
            raise PydanticCustomError("true_or_false", "Input should not be true or false")
        return value


def fields_below(section: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a section and of those inside of it, in order; a section itself is none.

    Args:
        section: Where to begin.
        prefix: Before each name, with its dot.

    Yields:
        Dotted name and declaration.
    """
    for name, field in section.model_fields.items():
        inner = _section_in(field.annotation)
        if inner is None:
            yield f"{prefix}{name}", field
        else:
            yield from fields_below(inner, f"{prefix}{name}.")


def _holds_numbers(annotation: Any) -> bool:
    """Whether a number, or a list of some, is among what a type allows; all else refuses true and false by itself."""
    return annotation in (int, float) or any(_holds_numbers(part) for part in get_args(annotation))


def _section_in(annotation: Any) -> type[Section] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Section):
            return part
    return None
