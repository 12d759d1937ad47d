"""The Record: every number of a run, typed, with its unit in its name.

Its JSON is {"schema", "config", "quality", "versus_baseline", "speed", "cost", "truth"}. A number with
an interval is {"value", "low", "high"}, 95 % unless its name says otherwise (effcomp.core.interval). docs/record.md
describes each field.
"""

from effcomp.record.configs import label, model_called, prunings, settings, task_called
from effcomp.record.cost import Calibration, Cost, Energy, Load, Memory, Size, Training
from effcomp.record.generation import GenerationQuality, GenerationVersus, TextScore, Writing
from effcomp.record.quality import (
    ClassQuality,
    GroupQuality,
    LanguageQuality,
    LanguageVersus,
    NotMeasured,
    Quality,
    VersusBaseline,
)
from effcomp.record.record import CHOSEN, RECORD_FILE, Record, numbers
from effcomp.record.row import Row
from effcomp.record.speed import BatchSpeed, Floor, Generation, Pairs, Predicted, Scenarios, Speed, Stopping
from effcomp.record.truth import Conditions, Data, Kernel, Kernels, Machine, ReadFile, Software, Truth, Vocabulary
from effcomp.record.upgrade import SCHEMA

__all__ = [
    "CHOSEN",
    "RECORD_FILE",
    "SCHEMA",
    "BatchSpeed",
    "Calibration",
    "ClassQuality",
    "Conditions",
    "Cost",
    "Data",
    "Energy",
    "Floor",
    "Generation",
    "GenerationQuality",
    "GenerationVersus",
    "GroupQuality",
    "Kernel",
    "Kernels",
    "LanguageQuality",
    "LanguageVersus",
    "Load",
    "Machine",
    "Memory",
    "NotMeasured",
    "Pairs",
    "Predicted",
    "Quality",
    "ReadFile",
    "Record",
    "Row",
    "Scenarios",
    "Size",
    "Software",
    "Speed",
    "Stopping",
    "TextScore",
    "Training",
    "Truth",
    "VersusBaseline",
    "Vocabulary",
    "Writing",
    "label",
    "model_called",
    "numbers",
    "prunings",
    "settings",
    "task_called",
]
