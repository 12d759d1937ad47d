"""Components: choices of the config groups as small frozen objects, validated on construction."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator

from effcomp.core.class_paths import id_of
from effcomp.core.code_key import code_key, package_sources
from effcomp.core.packages import versions


def each_once(values: list[Any]) -> list[Any]:
    """Return the list; raise ValueError where it names something twice."""
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{twice[0]} stands there twice; name each once")
    return values


EACH_ONCE = AfterValidator(each_once)
"""Annotation of a list without repetitions."""


class Component(BaseModel):
    """Base class of the choices of a config group (conf/<group>/<name>.yaml names the class by `_target_`).

    Fields are typed and their ranges are checked on construction; a field that does not exist is refused. Heavy
    libraries are imported inside methods, so that building a component takes no time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    id: ClassVar[str]
    """Stable name of the class (`quant/int8_scratch`), which artifacts, records and MLflow models store. A class of
    effcomp that is built declares it; it never changes when the class moves. The id of any other class is
    `module:Class`."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Libraries that it needs beside PyTorch and transformers, by import name."""

    name: str
    """Name of the choice, as typed on the command line."""

    @field_validator("*", mode="before")
    @classmethod
    def refuse_empty_path(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse an empty path, which pathlib reads as the working folder."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if value == "" and Path in (kind, *get_args(kind)):
            raise ValueError("the path is empty; give one, or leave the setting out")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def expand_home(cls, value: Any) -> Any:
        """Read `~` at the beginning of a path as the home folder, which a shell does not do after a `=`."""
        if not isinstance(value, Path):
            return value
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise ValueError("there is no such home folder; write the path without ~") from error

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not (cls.__module__.startswith("effcomp.") and "id" in cls.__dict__):
            cls.id = f"{cls.__module__}:{cls.__qualname__}"
        CLASSES[cls.id] = cls

    def key(self) -> dict[str, Any]:
        """Return all that determines what this component computes: its class, its fields, the sources of its module
        and of all that this imports, and the versions of its libraries."""
        inner = {name: value.key() for name, value in self if isinstance(value, Component)}
        return {
            "id": self.id,
            "fields": self.spec()["fields"] | inner,
            "code": code_key(type(self).__module__),
            "libraries": versions(*self.packages),
        }

    def spec(self) -> dict[str, Any]:
        """Return the component as plain JSON, for another process or an artifact; `from_spec` builds it again."""
        inner = {name: value.spec() for name, value in self if isinstance(value, Component)}
        return {"id": self.id, "fields": self.model_dump(mode="json") | inner}


CLASSES: dict[str, type[Component]] = {}
"""The component classes that this process has imported, by their ids."""

C = TypeVar("C", bound=Component)


def from_spec(spec: dict[str, Any], kind: type[C]) -> C:
    """Build the component that `spec()` described.

    A module is imported only if it is effcomp's own: a class from elsewhere must have been imported already, because an
    artifact that somebody else wrote may name any module.

    Raises:
        ValueError: the spec names no class of this kind.
    """
    identity = spec["id"] if "id" in spec else id_of(str(spec["class"]))
    if identity not in CLASSES and identity in modules_by_id():
        import_module(modules_by_id()[identity])
    cls = CLASSES.get(identity)
    if cls is None or not issubclass(cls, kind):
        raise ValueError(f"{identity} is no {kind.__name__} of effcomp or of a module that is imported")
    fields = {name: from_spec(value, Component) if is_spec(value) else value for name, value in spec["fields"].items()}
    return cls(**fields)


def is_spec(value: Any) -> bool:
    """Tell whether this field describes a component."""
    return isinstance(value, dict) and value.keys() in ({"id", "fields"}, {"class", "fields"})


@cache
def modules_by_id() -> dict[str, str]:
    """Map the id of each component of effcomp to the module that declares it; no module is imported for that."""
    declared = re.compile(r'^    id: ClassVar\[str\] = "([^"]+)"$', re.MULTILINE)
    return {
        identity: module
        for module, file in package_sources("effcomp").items()
        for identity in declared.findall(file.read_text())
    }


def nested(component: Component) -> Iterator[Component]:
    """Yield a component, those in its fields, and those in theirs."""
    yield component
    for _, value in component:
        if isinstance(value, Component):
            yield from nested(value)


def packages_of(*components: Component) -> tuple[str, ...]:
    """Return the libraries that these components, and those in their fields, need, by import name."""
    needed = (package for component in components for one in nested(component) for package in one.packages)
    return tuple(dict.fromkeys(needed))


def foreign_modules(*components: Component) -> tuple[str, ...]:
    """Return the modules outside effcomp that define these components and those in their fields."""
    found = {type(one).__module__ for component in components for one in nested(component)}
    return tuple(sorted(module for module in found if not module.startswith("effcomp.")))
