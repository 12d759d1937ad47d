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
    if config.problem_type in {"multi_label_classification", "regression"}:
        problem = config.problem_type.replace("_", " ")
        raise UserError(f"{whose} are those of a {problem} (problem_type), the task's one of several; {way_on}")
    found = own_names(config, whose)
    if found == [f"LABEL_{i}" for i in range(len(labels))]:
        found = list(default_names or labels)
        log.warning("%s have default names: LABEL_0 ... are taken for %s by position", whose, ", ".join(found))
        return [found.index(label) for label in labels]
    find = finder({name: index for index, name in enumerate(found)})
    order = [number for label in labels if (number := find(label)) is not None]
    if len(order) < len(labels) or sorted(order) != list(range(len(found))):
        raise UserError(f"{whose} are {', '.join(found)}, those of the task {', '.join(labels)}; {way_on}")
    return order


def own_names(config: "PretrainedConfig", whose: str) -> list[str]:
    """Return the name of each class by its number: that of id2label, or of label2id where id2label has default names.

    Raises:
        UserError: id2label does not number the classes from 0, or the two number the same names in different ways.
    """
    if (there := sorted(config.id2label)) != list(range(len(there))):
        given = ", ".join(map(str, there))
        raise UserError(f"{whose} have the numbers {given} in id2label of its config; number them from 0")
    found = [str(config.id2label[i]) for i in there]
    stated = config.label2id if isinstance(config.label2id, dict) else {}
    numbers = {str(name): str(number) for name, number in stated.items()}
    if all(name == f"LABEL_{i}" for i, name in enumerate(found)) and set(numbers.values()) == set(map(str, there)):
        return sorted(numbers, key=lambda name: int(numbers[name]))
    for name, number in numbers.items() if numbers.keys() == set(found) else ():
        if str(index := found.index(name)) != number:
            reason = f"{name} is class {index} in id2label and {number} in label2id of its config"
            raise UserError(f"{whose}: {reason}; correct one")
    return found


def finder(numbers: Mapping[str, int]) -> Callable[[str], int | None]:
    """Return a function that gives a label's number by its name, whatever the case, or None. Case counts between labels
    that differ in nothing else."""
    lower = Counter(map(str.casefold, numbers))
    folded = {label.casefold(): number for label, number in numbers.items() if lower[label.casefold()] == 1}
    return lambda label: numbers.get(label, folded.get(label.casefold()))
