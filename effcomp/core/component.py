"""What every choice of a config group is: a small frozen object, checked when it is built."""

from importlib import import_module
from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from effcomp.core.code_key import source_key


def each_once(values: list[Any]) -> list[Any]:
    """Raises ValueError for a list that names something twice."""
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{twice[0]} stands there twice; name each once")
    return values


EACH_ONCE = AfterValidator(each_once)
"""For the annotation of a list."""


class Part(BaseModel):
    """One choice of a config group (conf/<group>/<name>.yaml names the class by `_target_`).

    Fields are typed and their ranges are checked on construction; a field that does not exist is
    refused. Heavy libraries are imported inside methods, so that building a Part takes no time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    name: str
    """The choice's name, as typed on the command line."""

    def key(self) -> dict[str, Any]:
        """All that determines what this part computes: its class, its fields, and its source text.

        The source is the file of the class and of each base class, so a changed line makes old
        results stale without anyone having to raise a version number.
        """
        own = [cls for cls in type(self).__mro__ if cls.__module__.startswith("effcomp.") and cls is not Part]
        return {
            **self.spec(),
            "source": source_key(*{cls.__module__ for cls in own}),
        }

    def spec(self) -> dict[str, Any]:
        """The part as plain JSON, for another process or an artifact folder; `from_spec` builds it again."""
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "fields": self.model_dump(mode="json"),
        }


P = TypeVar("P", bound=Part)


def from_spec(spec: dict[str, Any], kind: type[P]) -> P:
    """The part that `spec()` described; only classes of effcomp that are of this kind are built.

    Raises:
        ValueError: the spec names another class.
    """
    module, _, name = str(spec["class"]).rpartition(".")
    cls = getattr(import_module(module), name, None) if module.startswith("effcomp.") else None
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise ValueError(f"{spec['class']} is no {kind.__name__} of effcomp")
    return cls(**spec["fields"])
