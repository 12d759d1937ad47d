"""Labels of a classifier, matched with those of a task by their names."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from effcomp.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)


def labels_order(
    config: "PretrainedConfig", labels: tuple[str, ...], whose: str, way_on: str, default_names: tuple[str, ...] = ()
) -> list[int]:
    """Return the index of the config's class for each label, matched by name (`finder`), whatever the order.

    Args:
        default_names: the labels that the default names LABEL_0, LABEL_1, ... stand for, which is logged; (): `labels`.
        whose: the subject of the message: `finetune=none: the labels of this model`.
        way_on: the fix, for the message.

    Raises:
        UserError: the classes are not these labels, id2label and label2id number the same names in different ways, or
            the head does not choose one of several.
    """
    found = [str(config.id2label[i]) for i in sorted(config.id2label)]
    if config.problem_type in {"multi_label_classification", "regression"}:
        problem = config.problem_type.replace("_", " ")
        raise UserError(f"{whose} are those of a {problem} (problem_type), the task's one of several; {way_on}")
    if found == [f"LABEL_{i}" for i in range(len(labels))]:
        found = list(default_names or labels)
        log.warning("%s have default names: LABEL_0 ... are taken for %s by position", whose, ", ".join(found))
        return [found.index(label) for label in labels]
    numbers = config.label2id if set(config.label2id) == set(found) else {}
    for index, name in enumerate(found):
        if (other := numbers.get(name, index)) != index:
            raise UserError(
                f"{whose}: {name} is class {index} in id2label and {other} in label2id of its config; correct one"
            )
    find = finder({name: index for index, name in enumerate(found)})
    order = [number for label in labels if (number := find(label)) is not None]
    if len(order) < len(labels) or sorted(order) != list(range(len(found))):
        raise UserError(f"{whose} are {', '.join(found)}, those of the task {', '.join(labels)}; {way_on}")
    return order


def finder(numbers: Mapping[str, int]) -> Callable[[str], int | None]:
    """Return a function that gives a label's number by its name, whatever the case, or None. Case counts between labels
    that differ in nothing else."""
    lower = Counter(map(str.casefold, numbers))
    folded = {label.casefold(): number for label, number in numbers.items() if lower[label.casefold()] == 1}
    return lambda label: numbers.get(label, folded.get(label.casefold()))
