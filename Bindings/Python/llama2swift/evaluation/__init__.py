"""The Llama 2 card, filled in for a model: `evaluate`."""

from .report import Evaluation, Figure
from .run import TASKS, evaluate

__all__ = ["TASKS", "Evaluation", "Figure", "evaluate"]
