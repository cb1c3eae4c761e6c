"""The Llama 2 card: its groups, and the rows that were published (Touvron et al., Llama 2, 2023, tables 2, 3, 11 and 14)."""

from __future__ import annotations

# group -> its tasks; a group is the average of these
GROUPS = {
    "Code": ("humaneval", "mbpp"),
    "Commonsense Reasoning": ("piqa", "siqa", "hellaswag", "winogrande", "arc_easy", "arc_challenge", "openbookqa", "commonsenseqa"),
    "World Knowledge": ("natural_questions", "triviaqa"),
    "Reading Comprehension": ("squad", "quac", "boolq"),
    "Math": ("gsm8k", "math"),
    "MMLU": ("mmlu",),
    "BBH": ("bbh",),
    "AGI Eval": ("agieval",),
    "TruthfulQA": ("truthfulqa_mc1", "truthfulqa_mc2"),
    "ToxiGen": ("toxigen",),
}
# Averages that the card does not have, so that they stand beside nothing of it.
NOT_THE_CARDS = {
    "TruthfulQA": "multiple choice (MC1, MC2): the card's figure is by two judges, fine-tuned models of OpenAI's that cannot be had",
}

# model -> percent of each group, in the order of PUBLISHED_GROUPS
PUBLISHED_GROUPS = ("Code", "Commonsense Reasoning", "World Knowledge", "Reading Comprehension", "Math", "MMLU", "BBH", "AGI Eval")
PUBLISHED = {
    "Llama 1 7B": (14.1, 60.8, 46.2, 58.5, 6.95, 35.1, 30.3, 23.9),
    "Llama 1 13B": (18.9, 66.1, 52.6, 62.3, 10.9, 46.9, 37.0, 33.9),
    "Llama 1 33B": (26.0, 70.0, 58.4, 67.6, 21.4, 57.8, 39.8, 41.7),
    "Llama 1 65B": (30.7, 70.7, 60.5, 68.6, 30.8, 63.4, 43.5, 47.6),
    "Llama 2 7B": (16.8, 63.9, 48.9, 61.3, 14.6, 45.3, 32.6, 29.3),
    "Llama 2 13B": (24.5, 66.9, 55.4, 65.8, 28.7, 54.8, 39.4, 39.1),
    "Llama 2 70B": (37.5, 71.9, 63.6, 69.4, 35.2, 68.9, 51.2, 54.2),
}
# model -> TruthfulQA (percent truthful and informative, by the judges), ToxiGen (percent toxic; less is better)
PUBLISHED_SAFETY = {
    "Llama 2 7B": (33.29, 21.25), "Llama 2 13B": (41.86, 26.10), "Llama 2 70B": (50.18, 24.60),
    "Llama 2 Chat 7B": (57.04, 0.00), "Llama 2 Chat 13B": (62.18, 0.00), "Llama 2 Chat 70B": (64.14, 0.01),
}  # fmt: skip


def published(group: str) -> dict[str, float]:
    """The rows of a group that mean what ours means."""
    if group in PUBLISHED_GROUPS:
        column = PUBLISHED_GROUPS.index(group)
        return {model: row[column] for model, row in PUBLISHED.items()}
    return {model: row[1] for model, row in PUBLISHED_SAFETY.items()} if group == "ToxiGen" else {}
