"""A smaller model that was made elsewhere, in the place of a pruned one."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from effcomp.core.errors import UserError
from effcomp.core.store import folder_sha256
from effcomp.finetune.base import TrainingCurve, TrainingSetup
from effcomp.models.base import Model, check_another, float_config, load_checkpoint
from effcomp.models.folder import check_folder
from effcomp.models.heads import Head
from effcomp.models.labels import labels_order
from effcomp.models.reconcile import load_tokenizer
from effcomp.models.weights import check_weights
from effcomp.prune.base import PruneAndRecover
from effcomp.tasks.base import Examples, Splits

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

SETTING = "prune.path"
WAY_ON = "give a smaller model that was trained on this task, as save_pretrained writes it"


class Student(PruneAndRecover):
    """Smaller model of a folder, compressed and compared with the run's own model on the same examples.

    It may be of any architecture and read tokens of its own: a model that was pruned or distilled elsewhere, or one
    with fewer layers. With a recovery the run's model teaches it (`finetune@prune.recovery=distill`).
    """

    id: ClassVar[str] = "prune/student"
    remaps_tokens: ClassVar[bool] = True
    path: Path | None
    """Folder written by save_pretrained (config, tokenizer, safetensors), trained on this task."""

    @property
    def folder(self) -> Path:
        """Return `path`.

        Raises:
            UserError: it is not given.
        """
        if self.path is None:
            raise UserError(f"prune={self.name} needs {SETTING}: {WAY_ON}")
        return self.path

    def key(self) -> dict[str, Any]:
        """Identify the student by its contents, not its path."""
        key = super().key()
        return {**key, "fields": {**key["fields"], "path": folder_sha256(self.folder)}}

    def check(self, model: Model) -> None:
        check_folder(self.folder, SETTING, weights=True)
        super().check(model)

    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        super().check_task(splits, head, max_length)
        whose = f"{SETTING}={self.path}"
        config = check_another(self.folder, SETTING, head, max_length, "student")
        check_weights(self.folder, whose, head, config, as_it_is=not self.recovery.trains)
        self.check_labels(config, splits.label_names, splits.default_names)

    def check_labels(self, config: "PretrainedConfig", labels: tuple[str, ...], default_names: tuple[str, ...]) -> None:
        """Raise UserError for a classifier whose logits stand in another order than these labels, or mean others."""
        whose = f"{SETTING}={self.path}: its labels"
        if labels and labels_order(config, labels, whose, WAY_ON, default_names) != list(range(len(labels))):
            raise UserError(f"{whose} stand in another order than {', '.join(labels)}; order them so in its head")

    def check_vocabulary(self, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        own = self.tokenizer()
        if tokenizer is None or own.get_vocab() != tokenizer.get_vocab():
            raise UserError(f"{SETTING}={self.path} writes other tokens than the model; {WAY_ON}, with its tokenizer")
        super().check_vocabulary(tokenizer)

    def config_after(self, config: "PretrainedConfig") -> "PretrainedConfig":
        return float_config(self.folder)

    def remapped(
        self, tokenizer: "PreTrainedTokenizerBase | None", train: Examples
    ) -> "PreTrainedTokenizerBase | None":
        return self.tokenizer()

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        return load_tokenizer(self.folder, float_config(self.folder))

    def prune(self, setup: TrainingSetup, dense: Path) -> tuple[TrainingSetup, TrainingCurve, float]:
        model, tokenizer = load_checkpoint(self.folder, setup.head)
        if setup.head == "sequence_classification":
            labels = setup.model.config.id2label
            self.check_labels(model.config, tuple(labels[i] for i in range(len(labels))), setup.default_names)
            model.config.id2label, model.config.label2id = labels, setup.model.config.label2id
        return self.recover(replace(setup, model=model, tokenizer=tokenizer), dense)
