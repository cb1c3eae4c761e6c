"""A pydantic model in, an instance out.

Usage: instance.py MODEL
"""

import sys
from typing import List, Literal, Set

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated

import llama2swift

Word = Annotated[str, Field(min_length=2, max_length=16)]


class Closed(BaseModel):
    """Without members that nobody named: a small model would go on and on."""

    model_config = ConfigDict(extra="forbid")


class Ingredient(Closed):
    name: Word
    grams: int = Field(ge=1, le=2000)


class Recipe(Closed):
    """What the answer is held to: the model writes the values, the grammar everything else."""

    title: str = Field(min_length=3, max_length=40)
    difficulty: Literal["easy", "medium", "hard"]
    ingredients: List[Ingredient] = Field(min_length=2, max_length=5)
    tags: Set[Word] = Field(min_length=1, max_length=3)


def recipe(model: llama2swift.Model, wish: str, seed: int = 1) -> Recipe:
    grammar = model.grammar(json_schema=Recipe, whitespace="compact")
    sampler = llama2swift.Sampler(temperature=0.7, seed=seed, grammar=grammar)
    prompt = model.chat_tokens([{"role": "user", "content": f"Answer with a recipe as JSON: {wish}"}]) if model.chat_template else wish
    with model.context(length=512) as context:
        return Recipe.model_validate_json("".join(context.generate(prompt, sampler)))


if __name__ == "__main__":
    print(repr(recipe(llama2swift.Model(sys.argv[1]), "pancakes for two")))
