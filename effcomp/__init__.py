"""effcomp: which compression for this model, this task, this hardware, and what does it cost?"""

__version__ = "0.1.0"
