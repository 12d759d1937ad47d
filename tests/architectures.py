"""Tiny models of many architectures: two layers, 32 wide, with random weights, as save_pretrained writes them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

BERT_LIKE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
}
LLAMA_LIKE = BERT_LIKE | {"num_key_value_heads": 2, "head_dim": 8}
SHORT_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 66}

ENCODERS: dict[str, dict[str, Any]] = {
    "bert": BERT_LIKE,
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 66},
    "roberta": BERT_LIKE,
    "xlm-roberta": BERT_LIKE,
    "camembert": BERT_LIKE,
    "albert": BERT_LIKE | {"embedding_size": 16},
    "electra": BERT_LIKE | {"embedding_size": 16},
    "mpnet": BERT_LIKE,
    "deberta": BERT_LIKE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "deberta-v2": BERT_LIKE
    | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16, "share_att_key": True},
    "modernbert": BERT_LIKE | {"pad_token_id": 0, "local_attention": 8, "global_attn_every_n_layers": 2},
    "longformer": BERT_LIKE | {"attention_window": 8},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
    "funnel": {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64, "num_decoder_layers": 1},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 66},
    "flaubert": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 66},
    "fnet": BERT_LIKE,
    "mobilebert": BERT_LIKE | {"embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32},
}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt2": SHORT_GPT,
    "openai-gpt": SHORT_GPT,
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
        "max_position_embeddings": 66,
    },
    "gpt_neox": BERT_LIKE,
    "gptj": SHORT_GPT | {"rotary_dim": 4},
    "opt": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 64,
        "word_embed_proj_dim": 32,
        "max_position_embeddings": 66,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "llama": LLAMA_LIKE,
    "mistral": LLAMA_LIKE | {"sliding_window": 8},
    "mixtral": LLAMA_LIKE | {"num_local_experts": 2, "num_experts_per_tok": 1},
    "qwen2": LLAMA_LIKE,
    "qwen3": LLAMA_LIKE,
    "gemma": LLAMA_LIKE,
    "gemma2": LLAMA_LIKE | {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": LLAMA_LIKE | {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "phi": BERT_LIKE,
    "phi3": LLAMA_LIKE | {"pad_token_id": 0},
    "stablelm": BERT_LIKE | {"num_key_value_heads": 2},
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "new_decoder_architecture": False},
    "bitnet": BERT_LIKE | {"num_key_value_heads": 2},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
}
ARCHITECTURES = ENCODERS | DECODERS


def config_of(model_type: str, tokenizer: Any) -> "PretrainedConfig":
    """The config of a tiny model with this tokenizer's words."""
    from transformers import AutoConfig

    fields = {"vocab_size": len(tokenizer)} | ARCHITECTURES[model_type]
    if model_type in DECODERS:
        fields |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return AutoConfig.for_model(model_type, **fields)


def write_model(model_type: str, head: str, vocabulary: Path, folder: Path) -> "PreTrainedModel":
    """Write the tiny model with the tokenizer of another folder."""
    import torch
    from transformers import AutoTokenizer, set_seed

    from effcomp.models.heads import published_class

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    config = config_of(model_type, tokenizer)
    set_seed(0)
    model = published_class(head, config)(config)
    for parameter in model.parameters():  # large enough that a wrong position, mask or window shows
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
