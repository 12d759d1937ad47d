"""Distillation: a small model learns from the labels and from the logits of a larger, trained one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from effcomp.core.batches import Ragged, batches_by_length
from effcomp.core.device import Device
from effcomp.core.errors import UserError
from effcomp.core.progress import Progress
from effcomp.core.store import folder_sha256
from effcomp.finetune.base import TrainingRow, TrainingSetup
from effcomp.finetune.full import FullFinetune
from effcomp.models.answers import answer
from effcomp.models.base import check_another, load_checkpoint
from effcomp.models.folder import check_folder
from effcomp.models.heads import Head
from effcomp.models.labels import labels_order
from effcomp.models.vocabulary import keep_tokens
from effcomp.models.weights import check_weights
from effcomp.tasks.base import Examples, Splits
from effcomp.tasks.encoding import encode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, Trainer

TEACHER_BATCH = 64
WAY_ON = "give the folder of a model trained on this task, as save_pretrained writes it (multirun/store/checkpoint/...)"


class DistillFinetune(FullFinetune):
    """Training of every parameter with soft targets (Hinton et al. 2015, "Distilling the Knowledge in a Neural
    Network", section 2).

    A classifier's teacher reads every training text once, in its own tokens; that of a language model reads each batch,
    and must have the student's tokenizer; that of hidden states reads each batch in the student's tokens, which must be
    among its own.
    """

    id: ClassVar[str] = "finetune/distill"
    needs_teacher: ClassVar[bool] = True
    teacher: Path | None
    """Folder written by save_pretrained: a checkpoint of the store, or any trained model of this task."""
    temperature: Annotated[float, Field(gt=0)]
    """Divisor of both models' logits before the softmax; higher is softer."""
    teacher_share: Annotated[float, Field(gt=0, le=1)]
    """Share of the loss that the teacher's logits give; the labels give the rest."""
    hidden_loss: Annotated[float, Field(ge=0)]
    """Weight of the squared difference of hidden states, added to that loss; 0: none. 1.0 is a start. Each of
    four layers of the teacher teaches the layer of the model whose states are nearest at the time
    (effcomp.finetune.hidden_states), which suits a model that has lost layers. The teacher then reads each batch, is as
    wide, and has all tokens of the model."""

    def check(self) -> None:
        super().check()
        if self.teacher is not None:
            check_folder(self.teacher, "finetune.teacher", weights=True)
        elif self.needs_teacher:
            raise UserError(f"finetune.teacher is missing: {WAY_ON}")
        elif self.hidden_loss > 0:
            raise UserError(f"finetune.hidden_loss={self.hidden_loss} needs finetune.teacher: {WAY_ON}")

    def check_recovery(self) -> None:
        if self.teacher is not None or not self.needs_teacher:
            self.check()
        else:
            super().check()

    def taught_by(self, folder: Path) -> "DistillFinetune":
        if self.teacher is not None or not self.needs_teacher:
            return self
        return self.model_copy(update={"teacher": folder})

    def check_task(self, splits: Splits, head: Head, max_length: int) -> None:
        super().check_task(splits, head, max_length)
        if self.teacher is None:
            return
        setting = "finetune.teacher"
        whose = f"{setting}={self.teacher}"
        config = check_another(self.teacher, setting, head, max_length, "teacher")
        check_weights(self.teacher, whose, head, config, as_it_is=True)
        if splits.label_names:
            labels_order(config, splits.label_names, f"{whose}: its labels", WAY_ON, splits.default_names)

    def check_student(
        self,
        config: "PretrainedConfig",
        tokenizer: "PreTrainedTokenizerBase | None",
        dense: "tuple[PretrainedConfig, PreTrainedTokenizerBase | None] | None" = None,
    ) -> None:
        from transformers import AutoTokenizer

        if self.hidden_loss == 0:
            return
        if self.teacher is not None:
            theirs, _ = check_folder(self.teacher, "finetune.teacher", weights=False)
            taught, whose = AutoTokenizer.from_pretrained(self.teacher), f"finetune.teacher={self.teacher}"
        elif dense is not None and self.needs_teacher:
            (theirs, taught), whose = dense, "the model before pruning"
        else:
            return
        if theirs.hidden_size != config.hidden_size:
            widths = f"{theirs.hidden_size} hidden features, the model that it teaches {config.hidden_size}"
            raise UserError(f"{whose} has {widths}; give finetune.hidden_loss=0, or a teacher as wide")
        if tokenizer is None or not tokenizer.get_vocab().keys() <= taught.get_vocab().keys():
            reason = f"{whose} lacks tokens of the model that it teaches"
            raise UserError(f"{reason}; give finetune.hidden_loss=0, or a teacher with its tokens")
        if unread := set(tokenizer.model_input_names) - set(taught.model_input_names):
            reason = f"{whose} reads no {min(unread)}, which the model that it teaches reads"
            raise UserError(f"{reason}; give finetune.hidden_loss=0, or a teacher of its architecture")

    def check_vocabulary(self, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        from transformers import AutoTokenizer

        if self.teacher is None:
            return
        theirs = AutoTokenizer.from_pretrained(self.teacher)
        if tokenizer is None or tokenizer.get_vocab() != theirs.get_vocab():
            reason = "has another tokenizer than the model that it teaches"
            raise UserError(f"finetune.teacher={self.teacher} {reason}; {WAY_ON}")

    def key(self) -> dict[str, Any]:
        """Identify the teacher by its contents, not its path; the model before pruning is in the key of the pruned
        model.
        """
        key = super().key()
        if self.teacher is None:
            return key
        return {**key, "fields": {**key["fields"], "teacher": folder_sha256(self.teacher)}}

    def rows(self, setup: TrainingSetup, examples: Examples) -> list[TrainingRow]:
        rows = super().rows(setup, examples)
        if self.teacher is not None and setup.head == "sequence_classification":
            teacher, tokenizer = self.load(setup)
            labels = tuple(setup.model.config.id2label[i] for i in range(setup.model.config.num_labels))
            whose = f"finetune.teacher={self.teacher}: its labels"
            order = labels_order(teacher.config, labels, whose, WAY_ON, setup.default_names)
            wanted = classify(teacher, encode(examples, tokenizer, setup.max_length), setup.device)[:, order]
            check_finite(wanted, f"finetune.teacher={self.teacher}")
            for row, logits in zip(rows, wanted.tolist(), strict=True):
                row["teacher_logits"] = logits
        return rows

    def trainer(self, setup: TrainingSetup, **settings: Any) -> "Trainer":
        from effcomp.finetune.trainer import DistillationTrainer

        if self.teacher is None:
            return super().trainer(setup, **settings)
        teacher = None
        if setup.head == "sequence_classification":
            settings["args"].label_names = ["labels", "teacher_logits"]
        if setup.head != "sequence_classification" or self.hidden_loss > 0:
            teacher, theirs = self.load(setup)
            if setup.tokenizer is not None and setup.tokenizer.get_vocab() != theirs.get_vocab():  # fewer: a classifier
                keep_tokens(teacher, theirs, setup.tokenizer)
        return DistillationTrainer(
            teacher=teacher,
            temperature=self.temperature,
            share=self.teacher_share,
            hidden_loss=self.hidden_loss,
            causal=setup.head == "causal_lm",
            **settings,
        )

    def load(self, setup: TrainingSetup) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
        """Load the teacher and its tokenizer.

        Raises:
            UserError: it does not answer the first training text, or with NaN or infinity.
        """
        assert self.teacher is not None, "check() refuses it"
        teacher, tokenizer = load_checkpoint(self.teacher, setup.head)
        assert tokenizer is not None, "check() refuses it"
        first, whose = encode(setup.examples.take([0]), tokenizer, setup.max_length), f"finetune.teacher={self.teacher}"
        check_finite(answer(teacher.eval(), first.batch([0]), whose), whose)
        return teacher, tokenizer


def check_finite(logits: "NDArray[np.float32]", whose: str) -> None:
    """Raise UserError where logits hold NaN or infinity."""
    import numpy as np

    if not np.isfinite(logits).all():
        raise UserError(f"{whose} answers with NaN or infinity; give a teacher that works in float32")


def classify(teacher: "PreTrainedModel", tokens: Ragged, device: Device) -> "NDArray[np.float32]":
    """Return the teacher's logits of each sequence, (sequences, classes) float32."""
    import numpy as np
    import torch

    teacher = teacher.to(device.torch_name).eval()
    logits = np.empty((len(tokens), teacher.config.num_labels), dtype=np.float32)
    batches = batches_by_length(tokens.lengths, TEACHER_BATCH)
    with torch.inference_mode(), Progress("asking the teacher", len(tokens)) as progress:
        for indices in batches:
            batch = {name: torch.from_numpy(ids).to(teacher.device) for name, ids in tokens.batch(indices).items()}
            logits[indices] = teacher(**batch).logits.float().cpu().numpy()
            progress.add(len(indices))
    return logits
