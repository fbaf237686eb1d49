"""What a form must know of one setting, read from its pydantic field: how it is called, bounded, stepped and shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from studio.views.number_box import NumberFormat

Kind = Literal["choice", "switch", "number", "text", "numbers by name", "texts", "number list", "json"]


@dataclass(frozen=True)
class Setting:
    """One field of a settings class.

    Attributes:
        kind: which editor fits; "json" is the last resort that fits anything.
        form: for numbers, how they are shown; None otherwise.
        choices: for "choice".
        optional: the field may be None.
        layers: the value speaks of layer names.
    """

    name: str
    title: str
    description: str
    kind: Kind
    form: NumberFormat | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False
    advanced: bool = False
    layers: bool = False

    @property
    def percent(self) -> bool:
        """Whether a fraction is shown as a percentage."""
        return self.form is not None and self.form.percent


def settings_of(model: type[BaseModel]) -> tuple[Setting, ...]:
    """The fields that a form shows, in their order; a field with only one possible value is no setting."""
    found = (_setting(name, field) for name, field in model.model_fields.items())
    # One criterion is still worth reading; the discriminator that names the step is not.
    return tuple(setting for setting in found if setting.name != "step")


def _setting(name: str, field: FieldInfo) -> Setting:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    annotation, optional = _without_none(field.annotation)
    annotation, inner = _without_annotated(annotation)
    metadata = (*field.metadata, *inner)
    default = field.get_default(call_default_factory=True) if not field.is_required() else None
    kind, form, choices = _kind(annotation, metadata, default, extra)
    return Setting(
        name=name,
        title=field.title or name.replace("_", " ").capitalize(),
        description=field.description or "",
        kind=kind,
        form=form,
        choices=choices,
        optional=optional,
        advanced=bool(extra.get("advanced")),
        layers=bool(extra.get("layers")),
    )


def _kind(
    annotation: Any, metadata: Sequence[Any], default: Any, extra: dict[str, Any]
) -> tuple[Kind, NumberFormat | None, tuple[Any, ...]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "choice", None, arguments
    if annotation is bool:
        return "switch", None, ()
    if annotation in (int, float):
        return "number", number_format(annotation, metadata, default, extra), ()
    if annotation is str:
        return "text", None, ()
    if origin is dict and len(arguments) == 2:
        key, value = (_without_annotated(argument) for argument in arguments)
        if key[0] is str and value[0] in (int, float):
            return "numbers by name", number_format(value[0], value[1], None, extra), ()
    if origin in (tuple, list) and arguments and arguments[1:] in ((), (...,)):
        item, item_metadata = _without_annotated(arguments[0])
        if item is str:
            return "texts", None, ()
        if item in (int, float):
            return "number list", number_format(item, item_metadata, None, extra), ()
    return "json", None, ()


def number_format(kind: type, metadata: Sequence[Any], default: Any, extra: dict[str, Any]) -> NumberFormat:
    """How numbers of a field are shown and stepped.

    Fractions step by one percent. A number that is never zero, or usually near zero, is stepped 1, 2, 5, 10;
    a whole number that is a power of two by default is doubled and halved.
    """
    minimum = maximum = None
    minimum_excluded = maximum_excluded = False
    for bound in metadata:
        match bound:
            case Ge(ge=value):
                minimum, minimum_excluded = value, False
            case Gt(gt=value):
                minimum, minimum_excluded = value, True
            case Le(le=value):
                maximum, maximum_excluded = value, False
            case Lt(lt=value):
                maximum, maximum_excluded = value, True
    whole, percent = kind is int, bool(extra.get("percent"))
    stepping, step = "linear", 1.0
    if percent:
        step = 0.01
    elif whole:
        if isinstance(default, int) and default >= 8 and log2(default).is_integer():
            stepping = "double"
    elif (
        minimum is not None and minimum >= 0 and (minimum_excluded or (default is not None and default < 0.1))
    ):
        stepping = "one-two-five"
    elif minimum is not None and maximum is not None:
        step = float(f"{(maximum - minimum) / 100:.0e}")
    else:
        step = 0.1
    return NumberFormat(
        whole=whole,
        percent=percent,
        unit=str(extra.get("unit") or ""),
        minimum=minimum,
        maximum=maximum,
        minimum_excluded=minimum_excluded,
        maximum_excluded=maximum_excluded,
        stepping=stepping,  # type: ignore[arg-type]
        step=step,
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, UnionType):
        rest = [argument for argument in get_args(annotation) if argument is not NoneType]
        if len(rest) < len(get_args(annotation)) and len(rest) == 1:
            return rest[0], True
    return annotation, False


def _without_annotated(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    inner, *notes = get_args(annotation)
    metadata: list[Any] = []
    for note in notes:
        metadata.extend(note.metadata if isinstance(note, FieldInfo) else [note])
    return inner, tuple(metadata)
