"""The Llama 2 card: its groups, and the rows that were published (Touvron et al., Llama 2, 2023, tables 2, 3, 11 and 14)."""

from __future__ import annotations

from collections.abc import Sequence, Set

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
# Of rows that are not what their group says.
OF_THE_PUBLISHED = {
    "Math": "Math: the rows of Llama 2 7B and 13B are GSM8K alone (14.6, 28.7); with the MATH of the same paper's appendix (2.5, 3.9) they would be 8.6 and 16.3.",
}

# task -> the parts that the card's figure is of
PARTS = {
    "mmlu": frozenset("""abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry college_computer_science college_mathematics
    college_medicine college_physics computer_security conceptual_physics econometrics electrical_engineering elementary_mathematics formal_logic
    global_facts high_school_biology high_school_chemistry high_school_computer_science high_school_european_history high_school_geography
    high_school_government_and_politics high_school_macroeconomics high_school_mathematics high_school_microeconomics high_school_physics
    high_school_psychology high_school_statistics high_school_us_history high_school_world_history human_aging human_sexuality international_law
    jurisprudence logical_fallacies machine_learning management marketing medical_genetics miscellaneous moral_disputes moral_scenarios nutrition
    philosophy prehistory professional_accounting professional_law professional_medicine professional_psychology public_relations security_studies
    sociology us_foreign_policy virology world_religions""".split()),
    "bbh": frozenset("""boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages formal_fallacies geometric_shapes hyperbaton
    logical_deduction_five_objects logical_deduction_seven_objects logical_deduction_three_objects movie_recommendation multistep_arithmetic_two navigate
    object_counting penguins_in_a_table reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks sports_understanding
    temporal_sequences tracking_shuffled_objects_five_objects tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects web_of_lies
    word_sorting""".split()),
    # its table 24
    "agieval": frozenset("aqua-rat logiqa-en lsat-ar lsat-lr lsat-rc sat-en sat-en-without-passage sat-math".split()),
}  # fmt: skip

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


def of_other_parts(task: str, there: Set[str], counted: Set[str]) -> list[str]:
    """What the parts of a file that are not the card's mean for a figure. counted: those of its parts that are not left out."""
    known = PARTS.get(task)
    if known is None:
        return []
    missing, more, less = sorted(known - counted), sorted(counted - known), sorted(there - counted)
    out = [f"{task} is without {_some(missing)} of the card's {len(known)}: beside the published row it is of other questions."] if missing else []
    out += [f"{task} counts {_some(more)}, which the card does not."] if more else []
    return out + ([f"{task}: {_some(less)} of its file were left out: the card's are others."] if less else [])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} parts ({', '.join(names[:3])} and so on)"
