"""A few items of each task of the card, in words of our own and in the form of the data files."""

import gzip
import json
import lzma

_ASKED = [
    {"question": "The sun was hot, so the little dog looked for", "choices": ["a shady tree to lie under.", "a very large blue number.", "seven loud old shoes.", "the day before a song."], "gold": 0},
    {"question": "Mom put the cake into the oven. After an hour she", "choices": ["painted the moon.", "took it out.", "ate the kitchen.", "slept in the cup."], "gold": 1},
    {"question": "Tim lost his red ball in the park. He felt", "choices": ["tall.", "green.", "sad.", "square."], "gold": 2},
    {"question": "The girl wanted to see the stars, so she waited for", "choices": ["the spoon.", "noon.", "the bus stop.", "the night."], "gold": 3},
    {"question": "The cat was thirsty and drank", "choices": ["some stones.", "a bowl of water.", "the roof.", "a long walk."], "gold": 1},
    {"question": "It began to rain, so Lily opened her", "choices": ["umbrella.", "apple.", "shadow.", "birthday."], "gold": 0},
    {"question": "The boy was tired after the long day and went to", "choices": ["fly.", "the sea floor.", "bed.", "a colour."], "gold": 2},
    {"question": "They planted a seed and gave it water. Soon it", "choices": ["sang.", "drove away.", "broke.", "grew."], "gold": 3},
    {"question": "The bird built a nest from", "choices": ["twigs.", "clouds.", "words.", "hours."], "gold": 0},
    {"question": "Ben shared his cookies, and his friend said", "choices": ["goodbye cup.", "thank you.", "blue.", "eleven."], "gold": 1},
]  # fmt: skip
_WINOGRANDE = [
    {"question": "The box did not fit into the bag because _ was too big.", "choices": ["the box", "the bag"], "gold": 0},
    {"question": "Anna gave Tom a toy because _ had a birthday.", "choices": ["Anna", "Tom"], "gold": 1},
    {"question": "The cup fell on the plate and _ broke, for it was made of thin glass.", "choices": ["the cup", "the stone"], "gold": 0},
]  # fmt: skip
_TRUTHFUL = [
    {"Question": "Do cats have nine lives?", "Best Answer": "No, cats live once", "Correct Answers": "No, cats live once; A cat has one life", "Incorrect Answers": "Yes, cats have nine lives; Cats live nine times"},
    {"Question": "Is the moon made of cheese?", "Best Answer": "The moon is made of rock", "Correct Answers": "The moon is made of rock; It is rock", "Incorrect Answers": "The moon is made of cheese"},
]  # fmt: skip
_NAMES = [{"question": f"which animal says {sound}", "answer": [animal, animal.upper()], "golden_answers": [animal]} for sound, animal in
          (("moo", "the cow"), ("meow", "the cat"), ("woof", "the dog"), ("oink", "the pig"), ("baa", "the sheep"), ("quack", "the duck"), ("neigh", "the horse"))]  # fmt: skip
_SUMS = [{"question": f"Tom has {a} apples and gets {b} more. How many has he?", "answer": f"He has {a} + {b} = <<{a}+{b}={a + b}>>{a + b} apples.\n#### {a + b}"} for a, b in ((1, 2), (2, 3), (3, 4), (4, 5), (2, 2), (5, 1), (6, 3), (7, 2), (8, 1))]
_CODE = [
    {"task_id": "Own/0", "prompt": 'def double(x):\n    """Twice x."""\n', "entry_point": "double", "canonical_solution": "    return 2 * x\n", "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-1) == -2\n"},
    {"task_id": "Own/1", "prompt": 'def first(items):\n    """The first of items."""\n', "entry_point": "first", "canonical_solution": "    return items[0]\n", "test": "def check(candidate):\n    assert candidate([3, 4]) == 3\n"},
]  # fmt: skip
_MBPP = [{"task_id": i, "text": f"Write a function that adds {i}.", "code": f"def add(x):\r\n    return x + {i}", "test_setup_code": "", "test_list": [f"assert add(1) == {i + 1}", f"assert add(0) == {i}"], "challenge_test_list": []} for i in (1, 2, 3, 4, 10, 11, 12, 600)]

FILES = {
    **{name: _ASKED[:5] for name in ("piqa", "siqa", "arc_easy", "arc_challenge", "openbookqa")},
    "hellaswag": _ASKED,
    "winogrande": _WINOGRANDE,
    "commonsenseqa": _ASKED,
    "mmlu_test": [{"subject": s, **item} for s in ("farm_animals", "weather") for item in _ASKED[:3]],
    "mmlu_dev": [{"subject": s, **item} for s in ("farm_animals", "weather") for item in _ASKED[4:9]],
    "agieval": [{"task": t, "passage": "Some people met in a park." if t == "lsat" else "", **item, "choices": [f"({'ABCD'[i]}){c}" for i, c in enumerate(item["choices"])]} for t in ("lsat", "sat") for item in _ASKED[:5]],
    "truthfulqa": _TRUTHFUL,
    "boolq": [{"passage": "A cow is an animal.", "question": "is a cow an animal", "answer": True}, {"passage": "Stones cannot talk.", "question": "do stones talk?", "answer": False}],
    "squad": [{"passage": "Lily has a red ball.", "question": "What does Lily have?", "answers": ["a red ball", "red ball"]}],
    "quac": [{"passage": "Tom ran home. He was late.", "question": "Was he late?", "answers": ["He was late"], "questions_before": ["Who ran?"], "answers_before": ["Tom"]}],
    "natural_questions": _NAMES,
    "triviaqa": _NAMES,
    "gsm8k_test": _SUMS[:3],
    "gsm8k_train": _SUMS,
    "math": [{"question": "What is $1+1$?", "answer": "2"}, {"question": "What is half of one?", "answer": r"\frac{1}{2}"}],
    "bbh": [{"task": t, "question": f"not {a} is", "answer": b} for t in ("boolean", "other") for a, b in (("True", "False"), ("False", "True"))],
    "bbh_prompts": [{"task": t, "prompt": "a line that is not shown\n-----\nSay what is true.\n\nQ: not not True is\nA: Let's think step by step.\nTwo nots are none. So the answer is True."} for t in ("boolean", "other")],
    "humaneval": _CODE,
    "mbpp": _MBPP,
    "toxigen_prompts": [{"group": g, "prompt": f"- {g} are kind\\n- {g} help us\\n-"} for g in ("neighbours", "teachers")],
}  # fmt: skip


def write(folder, files=FILES):
    """The files, packed in each of the three ways."""
    for number, (name, items) in enumerate(files.items()):
        text = "".join(json.dumps(item) + "\n" for item in items).encode()
        suffix, pack = (("", bytes), (".xz", lzma.compress), (".gz", gzip.compress))[number % 3]
        (folder / f"{name}.jsonl{suffix}").write_bytes(pack(text))
    return folder
