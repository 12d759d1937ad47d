"""Compare number formats on a table of your own, and answer new texts with the best one.

python examples/own_table.py        writes ./multirun and ./mlruns, as every run does

The table is examples/tickets.csv: 90 short messages, written for this example, each with the team that answers it.
"""

from pathlib import Path

import effcomp

TABLE = Path(__file__).parent / "tickets.csv"
TASK = [
    "task=table",
    f"task.data_dir={TABLE.parent}",
    f"task.train_files=[{TABLE.name}]",
    "task.test_share=0.3",
    "task.text=[subject,body]",
    "task.label=team",
]
TRAINING = ["finetune.epochs=8", "finetune.learning_rate=0.0003"]
COLUMNS = ["quant", "quality.accuracy", "speed.speedup", "speed.speedup.low", "speed.speedup.high"]
MOST_LOST = 0.05
"""Share of the answers that may be lost for speed."""


def main() -> None:
    """Fine-tune, compress, measure; compare; answer a new text."""
    results = effcomp.sweep([*TASK, *TRAINING, "device=cpu", "bench=quick", "quant=none,bf16,int8_dynamic"])
    print(effcomp.records("multirun")[COLUMNS].to_string())

    kept = [one for one in results if one.record.versus_baseline.accuracy_difference.value >= -MOST_LOST]
    best = max(kept, key=lambda one: one.record.speed.speedup.value)
    speedup = best.record.speed.speedup
    print(f"best: {best.record.choices['quant']}, speed-up {speedup.value:.2f} [{speedup.low:.2f}, {speedup.high:.2f}]")

    predict = effcomp.load(best)
    (answer,) = predict([{"subject": "Wrong amount", "body": "The last invoice is too high."}])
    print(f"a new ticket goes to: {answer['label']}")


if __name__ == "__main__":
    main()
