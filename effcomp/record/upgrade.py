"""Upgrade of records that older versions wrote."""

from typing import Any

from effcomp.core.class_paths import with_ids

SCHEMA = 7
READABLE = (1, 2, 3, 4, 5, 6, SCHEMA)
"""Schemas that can be read. A field that a later schema added is None in a record of an earlier one."""
HOLDS_A_REPEAT_SINCE = 6
"""Up to schema 5, an interval over pairs held the true value, not that of a repeat, and was narrower by the square root
of 2. Records keep the intervals that they were written with. Up to schema 6, that of a time held no deviation between
measurements, which it names since (`Interval.between_measurements`)."""
NESTED_SINCE = 5
"""Up to schema 4, `cost` and `truth` were flat, and the config named components by class path."""
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "cost": {
        "size": (
            *("artifact_bytes", "weights_bytes", "baseline_artifact_bytes", "parameters", "baseline_parameters"),
            *("nonzero_parameters", "nonzero_share", "bits_per_parameter", "quantised_layers", "quantised_share"),
        ),
        "memory": (
            *("peak_rss_bytes", "library_rss_bytes", "load_added_rss_bytes", "inference_added_rss_bytes"),
            *("baseline_peak_rss_bytes", "pss_bytes", "gpu_allocated_bytes", "gpu_reserved_bytes", "gpu_process_bytes"),
        ),
        "energy": ("energy_per_sample_j", "energy_counter", "idle_power_w", "peak_power_w"),
        "training": ("finetune_s", "finetune_peak_gpu_bytes", "recovery_s"),
        "load": ("load_time_ms", "first_call_ms", "compile_ms"),
    },
    "truth": {
        "machine": (
            *("device", "device_kind", "instruction_sets", "cpu_capability", "threads", "environment"),
            "machine_rates",
        ),
        "software": ("libraries", "git_commit"),
        "data": ("data_fingerprint", "train_examples", "test_examples", "tokens"),
        "kernels": ("kernels", "promised_kernel_ran", "int8_products", "instructions", "providers"),
    },
}
"""The flat fields of schema 4, by section and by the group that holds them since schema 5."""
RENAMED = {
    "quantised_layers": "quantized_layers",
    "quantised_share": "quantized_share",
    "energy_counter": "counter",
    "machine_rates": "rates",
    "data_fingerprint": "fingerprint",
    "kernels": "executed",
    "promised_kernel_ran": "expected_ran",
}
"""Fields of schema 4 that have another name since schema 5."""


def upgrade(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON fields of a record in the shape of the current schema, which is that of NESTED_SINCE.

    Args:
        fields: the fields of a record of one of the READABLE schemas. A field that does not belong to its schema stays
            where it is; validation refuses it.
    """
    if fields["schema"] >= NESTED_SINCE:
        return fields
    nested = {
        section: nest(fields[section], groups)
        for section, groups in GROUPS.items()
        if isinstance(fields.get(section), dict)
    }
    return fields | nested | {"schema": NESTED_SINCE, "config": with_ids(fields.get("config"))}


def nest(flat: dict[str, Any], groups: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Move flat fields into their groups, under their current names."""
    group_of = {name: group for group, names in groups.items() for name in names}
    nested: dict[str, Any] = {group: {} for group in groups}
    for name, value in flat.items():
        if name in group_of:
            nested[group_of[name]][RENAMED.get(name, name)] = value
        else:
            nested[name] = value
    return nested
