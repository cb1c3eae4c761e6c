"""Are the numbers right? Against float64 numpy, llama2.c's goldens and F32 references."""

import gzip
import json

import numpy as np
import pytest
import reference
from conftest import FIXTURES, shared
from tiny_gguf import random_model, shape_metadata, tensor_shapes, write_gguf

import llama2swift

SHAPES = {
    "multi-head, own output": dict(vocabulary=96, dim=64, layers=2, heads=4, heads_kv=4, hidden=160),
    "grouped-query": dict(vocabulary=100, dim=64, layers=3, heads=8, heads_kv=2, hidden=96, base=500000.0),
    "one kv head, tied": dict(vocabulary=65, dim=48, layers=2, heads=6, heads_kv=1, hidden=128, tied=True),
    "odd sizes": dict(vocabulary=77, dim=60, layers=2, heads=6, heads_kv=3, hidden=101),
    "wide heads": dict(vocabulary=64, dim=32, layers=2, heads=2, heads_kv=1, hidden=64, head_dim=40),
}


@pytest.mark.parametrize("name", SHAPES)
def test_logits_equal_float64_numpy(name, tmp_path):
    path = tmp_path / "tiny.gguf"
    metadata, weights = random_model(path, **SHAPES[name])
    tokens = np.random.default_rng(1).integers(0, SHAPES[name]["vocabulary"], 150)
    with llama2swift.Model(path).context(kv="f32", batch_size=64) as context:
        context.eval(tokens, all_logits=True)
        ours = context.logits().astype(np.float64)
    expected = reference.logits(metadata, weights, tokens)
    assert np.abs(ours - expected).max() / np.abs(expected).max() < 1e-4


@pytest.mark.parametrize("kernels", llama2swift.kernels_available())
def test_stories260k_logits_equal_the_golden_ones(stories, kernels):
    golden = np.load(FIXTURES / "stories260K-logits.npz")
    with stories.context(kv="f32", kernels=kernels) as context:
        for i in range(4):
            context.reset()
            context.eval(golden[f"ids{i}"], all_logits=True)
            expected = golden[f"logits{i}"]
            assert np.abs(context.logits() - expected).max() / np.abs(expected).max() < 1e-4


def test_stories260k_tells_the_golden_stories(stories, greedy):
    rows = [json.loads(line) for line in gzip.open(FIXTURES / "stories260K-greedy.jsonl.gz")]
    assert len(rows) == 20
    with stories.context(kv="f32", length=512) as context:
        for row in rows:
            context.reset()
            prompt = stories.tokenize(row["prompt"], bos=True)
            assert prompt == row["prompt_ids"]
            context.eval(prompt)
            ids = []
            while len(ids) < len(row["ids"]):
                ids.append(context.sample(greedy))
                if len(ids) < len(row["ids"]):
                    context.eval(ids[-1:])
            assert ids == row["ids"]
            # prompt and story in one text, as llama2.c prints it; BOS and EOS give nothing
            assert stories.detokenize(prompt + ids) == row["text"]


def test_stories260k_ends_its_stories_where_llama2c_does(stories, greedy, tmp_path):
    """At BOS, which these models put between two stories; the file's GGUF form knows it too."""
    rows = [json.loads(line) for line in gzip.open(FIXTURES / "stories260K-greedy.jsonl.gz")]
    early = [row for row in rows if len(row["prompt_ids"] + row["ids"]) < 201]
    assert len(early) == 4
    converted = tmp_path / "stories.gguf"
    llama2swift.convert(FIXTURES / "stories260K.bin", converted, "F32")
    for model, some in ((stories, rows), (llama2swift.Model(converted), early)):
        with model.context(kv="f32", length=512) as context:
            for row in some:
                context.reset()
                count = len(row["prompt_ids"])
                pieces = context.generate(model.tokenize_prompt(row["prompt"]), greedy, max_tokens=201 - count)
                assert row["prompt"] + "".join(pieces).removeprefix("" if row["prompt"] else " ") == row["text"]


def test_kl_divergence_is_at_most_llama_cpps(smollm2):
    """Mean over positions of sum p log(p/q), p the F32 reference's 64 best tokens."""
    data = np.load(shared("smollm2-logits.npz"))
    divergence = []
    for i in range(2):
        with smollm2.context(length=192) as context:
            context.eval(data[f"ids{i}"], all_logits=True)
            logits = context.logits().astype(np.float64)
        logits -= logits.max(1, keepdims=True)
        log_q = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        log_p, log_q = data[f"logprob{i}"].astype(np.float64), np.take_along_axis(log_q, data[f"top{i}"], 1)
        divergence.append((np.exp(log_p) * (log_p - log_q)).sum(1))
    mean = np.concatenate(divergence).mean()
    print(f"mean KL divergence {mean:.6f}, llama.cpp's {data['llamacpp_mean_kl']:.6f}")
    assert 0 < mean <= data["llamacpp_mean_kl"]


# parameters by Meta's figures (Touvron et al., 2023), hyperparameters of each model
FAMILY = {
    "7B": (6738415616, dict(vocabulary=32000, dim=4096, layers=32, heads=32, heads_kv=32, hidden=11008)),
    "13B": (13015864320, dict(vocabulary=32000, dim=5120, layers=40, heads=40, heads_kv=40, hidden=13824)),
    "33B": (32528943616, dict(vocabulary=32000, dim=6656, layers=60, heads=52, heads_kv=52, hidden=17920)),
    "65B": (65285660672, dict(vocabulary=32000, dim=8192, layers=80, heads=64, heads_kv=64, hidden=22016)),
    "70B": (68976648192, dict(vocabulary=32000, dim=8192, layers=80, heads=64, heads_kv=8, hidden=28672)),
}


def write_hollow(path, shape):
    """A Q4_0 model whose matrices are holes in a sparse file: all zero."""
    metadata = shape_metadata(**shape, length=4096)
    tensors = {}
    for name, s in tensor_shapes(metadata, shape["vocabulary"]).items():
        if len(s) == 1:
            tensors[name + ".weight"] = (0, s, np.ones(s, "<f4").tobytes())
        else:
            tensors[name + ".weight"] = (2, s[::-1], s[0] * s[1] // 32 * 18)
    write_gguf(path, metadata, tensors)


@pytest.mark.parametrize("name", FAMILY)
def test_family_has_metas_parameter_counts(name, tmp_path):
    count, shape = FAMILY[name]
    path = tmp_path / "hollow.gguf"
    write_hollow(path, shape)
    h = llama2swift.Model(path).hyperparameters
    assert h.parameter_count == count
    assert (h.embedding_length, h.block_count, h.head_count, h.head_count_kv, h.feed_forward_length) == (
        shape["dim"], shape["layers"], shape["heads"], shape["heads_kv"], shape["hidden"])  # fmt: skip
    assert h.head_dimension == 128


def test_70b_with_two_layers_runs(tmp_path):
    path = tmp_path / "hollow.gguf"
    write_hollow(path, FAMILY["70B"][1] | {"layers": 2})
    with llama2swift.Model(path).context(length=64) as context:
        context.eval([1])
        assert context.logits().shape == (32000,) and not context.logits().any()


QUESTIONS = {
    "What is 2 + 2?": "4",
    "Name a primary color.": "red",
    "What is the opposite of hot?": "cold",
    "How many days are in a week?": "7",
    "What language is spoken in Spain?": "Spanish",
    "Give me three tips for sleeping well.": "caffeine",
    "Tell me a fact about elephants.": "elephants",
    "Who wrote Romeo and Juliet?": "Shakespeare",
    "How do plants make food?": "photosynthesis",
    "What is the boiling point of water?": "100",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_greedy_answers_are_sensible(smollm2, greedy, question):
    tokens = smollm2.chat_tokens([{"role": "user", "content": question}])
    with smollm2.context(length=256) as context:
        answer = "".join(context.generate(tokens, greedy, max_tokens=80))
    print(answer)
    assert QUESTIONS[question].lower() in answer.lower()
