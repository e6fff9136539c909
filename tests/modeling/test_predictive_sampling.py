# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""`decode` against loops that know no cache and no drafts, on tiny random models and on the shipped weights.

Sums in another order differ in the last bits. Where the two best scores lie within `GAP` of each other, and only
there, another token may be chosen; such a text is compared up to that token.
"""

import math
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    DynamicCache,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LogitsProcessor,
    LogitsProcessorList,
    MaxTimeCriteria,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from mnist_text_gen import MnistTextLogitsProcessor
from mnist_text_gen.checkpoints import SHIPPED_CHECKPOINT
from mnist_text_gen.modeling import GumbelNoiseLogitsProcessor, cached_gpt2, decode, gumbel_noise, predictive_sampling
from mnist_text_gen.modeling.cached_gpt2 import CachedGPT2
from mnist_text_gen.modeling.predictive_sampling import SeededGumbelNoise


GAP = 1e-5
PAD = 0


def build_model(seed=0, vocab_size=7, n_positions=20, n_embd=8, n_layer=2, **config):
    """A GPT-2 with weights so large that its choices depend on all tokens before them."""
    torch.manual_seed(seed)
    config = {"n_head": 2, "initializer_range": 0.7, "bos_token_id": None, "eos_token_id": None} | config
    config = GPT2Config(vocab_size=vocab_size, n_positions=n_positions, n_embd=n_embd, n_layer=n_layer, **config)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def model():
    return build_model()


@pytest.fixture(scope="module")
def shipped_model():
    return AutoModelForCausalLM.from_pretrained(SHIPPED_CHECKPOINT).eval()


def continue_with(model, prompts, processors=(), eos=None, **arguments):
    """`decode` through `generate`, greedy unless said otherwise."""
    arguments = {"do_sample": False, "max_length": model.config.n_positions, "pad_token_id": PAD} | arguments
    return model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        logits_processor=LogitsProcessorList(processors),
        eos_token_id=eos,
        custom_generate=decode,
        **arguments,
    )


@torch.no_grad()
def reference(model, prompts, processors=(), eos=None, max_length=None, pad=PAD):
    """The whole text through the model for every token, row by row; and for each token how far ahead it was."""
    eos = [] if eos is None else [eos] if isinstance(eos, int) else eos
    ids, gaps = prompts, torch.full(prompts.shape, torch.inf)
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    while ids.shape[1] < (max_length or model.config.n_positions) and not ended.all():
        scores = model(ids, use_cache=False).logits[:, -1].float()
        for processor in processors:
            scores = processor(ids, scores)
        best, tokens = scores.topk(2, dim=-1)
        ids = torch.cat([ids, tokens[:, :1].masked_fill(ended[:, None], pad)], dim=1)
        gaps = torch.cat([gaps, (best[:, :1] - best[:, 1:]).masked_fill(ended[:, None], torch.inf)], dim=1)
        ended = ended | torch.isin(ids[:, -1], torch.tensor(eos, dtype=torch.long))
    return ids, gaps


def assert_same_texts(ids, expected, gaps, gap=GAP):
    """Equal, or up to the first token of a text whose two best scores are near ties; the number of such texts."""
    num_ties = 0
    longest = max(ids.shape[1], expected.shape[1])
    for index, (one, other) in enumerate(zip(ids, expected, strict=True)):
        one, other = (torch.nn.functional.pad(row, (0, longest - len(row)), value=PAD) for row in (one, other))
        different = (one != other).nonzero().flatten().tolist()
        if different:
            first = different[0]
            tie = first < gaps.shape[1] and gaps[index, first] < gap
            assert tie, f"text {index} differs at position {first}: {one.tolist()}, expected {other.tolist()}"
            num_ties += 1
    if not num_ties:
        assert ids.shape == expected.shape
    return num_ties


def noise_of(seeds, prompts, max_length, model):
    return [] if seeds is None else [SeededGumbelNoise(seeds, *prompts.shape, max_length, model)]


@given(data=st.data())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_texts_are_those_of_a_loop_without_cache(data):
    draw = data.draw
    vocab_size = draw(st.integers(2, 9), label="vocab_size")
    model = build_model(
        draw(st.integers(0, 10**6), label="weights"),
        vocab_size=vocab_size,
        n_positions=draw(st.integers(6, 20), label="n_positions"),
        n_layer=draw(st.integers(1, 3), label="n_layer"),
        n_head=draw(st.sampled_from([1, 2, 4]), label="n_head"),
        n_inner=draw(st.sampled_from([None, 5, 24]), label="n_inner"),
        activation_function=draw(st.sampled_from(["gelu_new", "gelu_pytorch_tanh", "gelu", "relu"])),
        scale_attn_weights=draw(st.booleans(), label="scale"),
        scale_attn_by_inverse_layer_idx=draw(st.booleans(), label="inverse"),
        tie_word_embeddings=draw(st.booleans(), label="tied"),
        initializer_range=draw(st.sampled_from([0.2, 0.7]), label="range"),
    )
    token = st.integers(0, vocab_size - 1)
    batch, length = draw(st.integers(1, 5), label="batch"), draw(st.integers(1, 4), label="length")
    prompt = st.lists(token, min_size=length, max_size=length)
    prompts = draw(
        st.one_of(st.lists(prompt, min_size=batch, max_size=batch), prompt.map(lambda row: [row] * batch)), "prompts"
    )
    prompts = torch.tensor(prompts)
    max_length = draw(st.integers(length + 1, model.config.n_positions), label="max_length")
    eos = draw(st.one_of(st.none(), token, st.lists(token, min_size=2, max_size=3)), label="eos")
    seed = st.integers(0, 2**63 - 1)
    seeds = draw(st.one_of(st.none(), st.lists(seed, min_size=batch, max_size=batch)), label="seeds")
    ids = continue_with(
        model,
        prompts,
        eos=eos,
        max_length=max_length,
        num_draft_tokens=draw(st.integers(0, 7), label="num_draft_tokens"),
        draft_lookback=draw(st.integers(1, 6), label="draft_lookback"),
        prefix_draft=draw(st.lists(token, max_size=25), label="prefix_draft"),
        **({} if seeds is None else {"do_sample": True, "seeds": seeds, "top_k": 0}),
    )
    expected, gaps = reference(model, prompts, noise_of(seeds, prompts, max_length, model), eos, max_length)
    assert_same_texts(ids, expected, gaps)


@pytest.mark.parametrize("num_draft_tokens", [0, 5])
@pytest.mark.parametrize("seeds", [None, list(range(40))], ids=["greedy", "sampled"])
def test_rows_that_end_at_different_lengths_are_padded(seeds, num_draft_tokens):
    model = build_model(vocab_size=12, n_positions=40)
    prompts = torch.arange(40)[:, None] % 12
    sampling = {} if seeds is None else {"do_sample": True, "seeds": seeds, "top_k": 0, "temperature": 3.0}
    processors = [] if seeds is None else [TemperatureLogitsWarper(3.0), *noise_of(seeds, prompts, 40, model)]
    expected, gaps = reference(model, prompts, processors, eos=[3, 8])
    ids = continue_with(model, prompts, eos=[3, 8], num_draft_tokens=num_draft_tokens, **sampling)
    assert assert_same_texts(ids, expected, gaps) == 0
    if seeds is not None:  # more than half end before the last, so that the batch grows smaller on the way
        ends = torch.isin(ids[:, 1:], torch.tensor([3, 8])).long().argmax(dim=1)
        assert len(ends.unique()) > 5


@pytest.mark.parametrize("lookback", [1, 3])
@pytest.mark.parametrize("num_right", [0, 4, 30])
def test_a_prefix_draft_that_is_right_or_wrong_at_any_place_changes_nothing(model, num_right, lookback):
    prompts = torch.tensor([[1, 2], [4, 2], [1, 2]])
    expected, gaps = reference(model, prompts)
    draft = expected[0, 2:].tolist()
    draft = draft[:num_right] + [(token + 1) % 7 for token in draft[num_right:]] + [6] * 10
    ids = continue_with(model, prompts, num_draft_tokens=4, prefix_draft=draft, draft_lookback=lookback)
    assert assert_same_texts(ids, expected, gaps) == 0


def test_right_drafts_save_steps(model, monkeypatch):
    prompts = torch.tensor([[1, 2], [1, 2]])
    draft = reference(model, prompts)[0][0, 2:].tolist()
    steps = []
    run = CachedGPT2._run
    monkeypatch.setattr(CachedGPT2, "_run", lambda self, ids, *args: steps.append(ids.shape) or run(self, ids, *args))
    continue_with(model, prompts, num_draft_tokens=0)
    assert len(steps) == 18
    steps.clear()
    continue_with(model, prompts, prefix_draft=draft)
    assert steps == [(1, 19)]  # equal prompts once, and all tokens but the last


def num_near_ties(model, ids, processors):
    """Check by one forward of the texts that every token is the best, or within `GAP` of it; count the latter."""
    with torch.no_grad():
        logits = model(ids[:, :-1]).logits
    num_ties = 0
    for length in range(1, ids.shape[1]):
        scores = logits[:, length - 1]
        for processor in processors:
            scores = processor(ids[:, :length], scores)
        lost = scores.amax(dim=-1) - scores.gather(-1, ids[:, length, None])[:, 0]
        assert lost.max() < GAP, f"position {length}"
        num_ties += int((lost > 0).sum())
    return num_ties


def pipelines_processors(tokenizer, labels):
    noise = gumbel_noise([(0, label, 0, row) for row, label in enumerate(labels)], 150, 64)
    return [
        MnistTextLogitsProcessor(tokenizer),
        TemperatureLogitsWarper(0.8),
        GumbelNoiseLogitsProcessor(noise, tokenizer.pixel_ids),
    ]


# as the pipeline does it
DRAWING = {"num_draft_tokens": 5, "draft_lookback": 5, "prefix_draft": [10] * 40}


@pytest.mark.parametrize("decoding", [{}, DRAWING], ids=["default", "pipeline"])
def test_texts_of_the_shipped_weights_are_those_of_a_full_forward(shipped_model, tokenizer, decoding):
    labels = list(range(10))
    processors, eos = pipelines_processors(tokenizer, labels), tokenizer.eos_token_id
    prompts = torch.tensor(labels)[:, None]
    ids = continue_with(shipped_model, prompts, processors, eos, pad_token_id=tokenizer.pad_token_id, **decoding)
    assert ids.shape == (10, 152) and (ids[:, -1] == eos).all()
    assert num_near_ties(shipped_model, ids, processors) < 3


WARPERS = {
    "min_p": ({"min_p": 0.3, "top_k": 0}, [MinPLogitsWarper(0.3)]),
    "all": (
        {"temperature": 1.4, "top_k": 4, "top_p": 0.8},
        [TemperatureLogitsWarper(1.4), TopKLogitsWarper(4), TopPLogitsWarper(0.8)],
    ),
}


@pytest.mark.parametrize("name", WARPERS)
def test_warpers_of_the_generation_configuration_are_honoured(model, name):
    config, warpers = WARPERS[name]
    prompts, seeds = torch.arange(20)[:, None] % 7, list(range(20))
    noise = noise_of(seeds, prompts, 20, model)
    expected, gaps = reference(model, prompts, [*warpers, *noise])
    ids = continue_with(model, prompts, do_sample=True, seeds=seeds, **config)
    assert assert_same_texts(ids, expected, gaps) == 0
    assert not torch.equal(expected, reference(model, prompts, noise)[0])


@pytest.mark.parametrize(("seeds", "eos"), [(None, None), (None, [3, 5]), ([7, 8, 9, 10], 3)])
def test_a_processor_of_another_kind_sees_the_text_before_each_token(model, seeds, eos):
    prompts = torch.tensor([[1, 2], [2, 2], [6, 1], [4, 4]])
    processors = [RepetitionPenaltyLogitsProcessor(1.3)]
    expected, gaps = reference(model, prompts, [*processors, *noise_of(seeds, prompts, 20, model)], eos)
    sampling = {} if seeds is None else {"do_sample": True, "seeds": seeds, "top_k": 0}
    ids = continue_with(model, prompts, processors, eos, num_draft_tokens=4, prefix_draft=[1, 2], **sampling)
    assert assert_same_texts(ids, expected, gaps) == 0


def test_positions_behind_the_end_of_a_text_may_mask_everything(model):
    class EndAtFive(LogitsProcessor):
        def at_positions(self, positions, scores):
            allowed = torch.where(positions[..., None] == 5, torch.arange(7) == 3, torch.arange(7) != 3)
            return scores.masked_fill(~allowed | (positions[..., None] > 5), float("-inf"))

        def __call__(self, input_ids, scores):
            positions = torch.full((len(scores), 1), input_ids.shape[1])
            return self.at_positions(positions, scores[:, None])[:, 0]

    prompts = torch.tensor([[1], [2]])
    expected, _ = reference(model, prompts, [EndAtFive()], eos=3)
    assert torch.equal(continue_with(model, prompts, [EndAtFive()], eos=3, num_draft_tokens=0), expected)
    assert torch.equal(continue_with(model, prompts, [EndAtFive()], eos=3, num_draft_tokens=4), expected)


def test_samples_follow_the_softmax():
    model = build_model(vocab_size=4, n_positions=4, initializer_range=0.3)
    num_samples = 4000
    prompts = torch.full((num_samples, 1), 2)
    sampling = {"do_sample": True, "top_k": 0, "temperature": 0.9, "seeds": list(range(num_samples))}
    ids = continue_with(model, prompts, max_length=3, num_draft_tokens=3, prefix_draft=[1] * 3, **sampling)
    pairs = torch.cartesian_prod(torch.tensor([2]), torch.arange(4), torch.arange(4))
    with torch.no_grad():
        log_probabilities = (model(pairs).logits.double() / 0.9).log_softmax(-1)
    joint = log_probabilities[:, :2].gather(-1, pairs[:, 1:, None]).sum(dim=(1, 2)).exp()
    counts = (ids[:, 1] * 4 + ids[:, 2]).bincount(minlength=16).double()
    expected = joint * num_samples
    assert joint.sum().item() == pytest.approx(1) and expected.min() > 5
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 46  # 15 degrees of freedom: 1 in 10,000 is above 44


def test_a_seed_decides_alone_and_without_one_torchs_global_seed(model):
    prompts, state = torch.tensor([[1], [1], [4], [1]]), torch.random.get_rng_state()
    ids = continue_with(model, prompts, do_sample=True, seeds=[5, 6, 7, 5])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(continue_with(model, prompts, do_sample=True, seeds=[5, 6, 7, 5]), ids)
    assert torch.equal(ids[0], ids[3]) and not torch.equal(ids[0], ids[1])
    assert torch.equal(continue_with(model, prompts[2:3], do_sample=True, seeds=[7]), ids[2:3])
    several = continue_with(model, prompts[:1], do_sample=True, seeds=[5, 6], num_return_sequences=2)
    assert torch.equal(several, ids[:2])
    torch.manual_seed(1)
    first, second = (continue_with(model, prompts, do_sample=True) for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(continue_with(model, prompts, do_sample=True), first)
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])


@pytest.mark.parametrize(("eos", "num_draft_tokens"), [(None, 4), ([3, 8], 0), ([3, 8], 4)])
def test_a_callback_sees_growing_beginnings_of_the_texts(eos, num_draft_tokens):
    model = build_model(vocab_size=12, n_positions=40)
    prompts = torch.arange(30).view(15, 2) % 12
    seen = []
    how = {"do_sample": True, "seeds": list(range(15)), "num_draft_tokens": num_draft_tokens}
    ids = continue_with(model, prompts, eos=eos, callback=lambda ids: seen.append(ids.clone()), **how)
    lengths = [part.shape[1] for part in seen]
    assert lengths == sorted(set(lengths)) and lengths[0] > 2
    for part in seen:
        assert torch.equal(part, ids[:, : part.shape[1]])
    assert torch.equal(seen[-1], ids)


REFUSALS = [
    ({"max_length": 21}, r"`max_length` must be at most 20, the model's context, got 21"),
    ({"attention_mask": torch.tensor([[0, 1], [1, 1]])}, r"prompts must have equal length, .*, got zeros"),
    ({"num_beams": 2}, r"`num_beams` must be 1 .* returns one text"),
    ({"stopping_criteria": StoppingCriteriaList([MaxTimeCriteria(9.0)])}, r"must be `max_length` .*MaxTime"),
    ({"do_sample": True, "seeds": [1]}, r"there must be one seed per prompt \(2\), got 1"),
    ({"seeds": [1, 2]}, r"`seeds` must not be given if `do_sample` is False"),
    ({"do_sample": True, "seeds": [1, -1]}, r"a seed must be an integer of 0 or more, got -1"),
    ({"num_draft_tokens": 1.5}, r"`num_draft_tokens` must be an integer of 0 or more, got 1.5"),
    ({"prefix_draft": [1, 7]}, r"a token of `prefix_draft` must be an integer from 0 to 6, got 7"),
    ({"position_ids": torch.tensor([[3, 4], [3, 4]])}, r"`position_ids` must be 0, 1, 2, ..., got \[3, 4\]"),
    ({"token_type_ids": torch.tensor([[0, 1], [0, 1]])}, r"`token_type_ids` must not be given: prompts"),
]


@pytest.mark.parametrize(("arguments", "match"), REFUSALS, ids=lambda value: str(value)[:40])
def test_what_decode_cannot_do_is_refused(model, arguments, match):
    prompts = torch.tensor([[1, 2], [2, 2]])
    defaults = {"attention_mask": torch.ones_like(prompts), "max_length": 10, "do_sample": False, "pad_token_id": 0}
    with pytest.raises(ValueError, match=match):
        model.generate(prompts, custom_generate=decode, **defaults | arguments)


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_empty_cache_is_taken_under_any_name(model, name):
    """Transformers 5.24 renamed the one that `generate` gives, and calls it with `None`."""
    prompts = torch.tensor([[1, 2], [2, 2]])
    config = GenerationConfig(max_length=10, num_beams=1, return_dict_in_generate=False)
    expected = decode(model, prompts, LogitsProcessorList(), StoppingCriteriaList(), config)
    filled = model(prompts, use_cache=True).past_key_values
    for empty in (None, DynamicCache(config=model.config)):
        found = decode(model, prompts, LogitsProcessorList(), StoppingCriteriaList(), config, **{name: empty})
        assert found.equal(expected)
    with pytest.raises(ValueError, match=f"`{name}` must be an empty cache, got one of 2 tokens"):
        decode(model, prompts, LogitsProcessorList(), StoppingCriteriaList(), config, **{name: filled})


def test_another_architecture_is_refused():
    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, is_decoder=True
    )
    with pytest.raises(ValueError, match=r"must be a GPT2LMHeadModel .*, got a BertLMHeadModel"):
        BertLMHeadModel(config).eval().generate(torch.tensor([[1]]), custom_generate=decode, max_length=5)
    crossed = build_model(add_cross_attention=True)
    with pytest.raises(ValueError, match=r"must be a GPT2LMHeadModel without cross-attention"):
        continue_with(crossed, torch.tensor([[1]]))


@pytest.mark.parametrize("num_draft_tokens", [0, 3])
def test_scores_of_which_none_is_finite_are_refused(model, num_draft_tokens):
    class MaskAll(LogitsProcessor):
        def at_positions(self, positions, scores):
            return scores.masked_fill(positions[..., None] == 4, float("-inf"))

    prompts = torch.tensor([[1], [2]])
    with pytest.raises(ValueError, match=r"the best score must be finite, got -inf in text 0 at position 4"):
        continue_with(model, prompts, [MaskAll()], num_draft_tokens=num_draft_tokens)
    broken = build_model()
    broken.transformer.h[0].ln_1.weight.data[0] = float("nan")
    with pytest.raises(ValueError, match=r"the best score must be finite, got nan in text 0 at position 1"):
        continue_with(broken, prompts, num_draft_tokens=num_draft_tokens)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_of_another_dtype_decodes(dtype):
    model = build_model().to(dtype)
    prompts, seeds = torch.tensor([[1], [1], [4]]), [1, 2, 3]
    ids = continue_with(model, prompts, do_sample=True, seeds=seeds, top_k=0)
    expected, gaps = reference(model, prompts, noise_of(seeds, prompts, 20, model))
    assert ids.shape == (3, 20)
    assert_same_texts(ids, expected, gaps, gap=0.5 if dtype == torch.bfloat16 else GAP)


SAMPLED = {"do_sample": True, "top_k": 0, "temperature": 3.0, "eos": [3, 8]}


@pytest.fixture
def many():
    """A model and prompts whose texts end at different lengths."""
    return build_model(vocab_size=12, n_positions=40), torch.arange(40)[:, None] % 12


@pytest.mark.parametrize("block_size", [7, 64])
def test_blocks_static_shapes_and_rare_checks_change_nothing(many, monkeypatch, block_size):
    """What a GPU does, without its graphs."""
    arguments = {"seeds": list(range(40)), **SAMPLED}
    expected = continue_with(*many, **arguments)
    assert torch.equal(continue_with(*many, block_size=block_size, **arguments), expected)
    cached_gpt2._IDLE.clear()
    monkeypatch.setattr(cached_gpt2, "CachedGPT2", lambda *args: CachedGPT2(*args[:4], static=True))
    monkeypatch.setattr(predictive_sampling, "STEPS_PER_CHECK", {"cpu": 4})
    assert torch.equal(continue_with(*many, block_size=block_size, **arguments), expected)


class Graph:
    """A CUDA graph as a CPU can have it: it reads and writes its own memory."""

    def __init__(self, network, num_tokens):
        self.network, self.read, self.drop, self.reset = network, network.read, network.drop, network.reset
        self.inputs = torch.zeros(2, network.batch_size, num_tokens, dtype=torch.int64)
        self.logits = network(*self.inputs)

    def __call__(self, *inputs):
        self.inputs.copy_(torch.stack(inputs))
        return self.logits

    def join(self):
        self.logits.copy_(self.network(*self.inputs))


@pytest.fixture
def graphs(monkeypatch):
    monkeypatch.setattr(cached_gpt2, "GRAPHED_DEVICES", {"cpu"})
    monkeypatch.setattr(cached_gpt2, "_GraphedGPT2", Graph)


@pytest.mark.parametrize("linear_dtype", [None, torch.float64])
@pytest.mark.parametrize("device", ["cpu", "graphs"])
def test_networks_are_used_again_with_the_weights_of_now(many, request, monkeypatch, device, linear_dtype):
    if device == "graphs":
        request.getfixturevalue("graphs")
    made = []
    monkeypatch.setattr(cached_gpt2, "CachedGPT2", lambda *args: made.append(args) or CachedGPT2(*args))
    model, prompts = many
    arguments = {"seeds": list(range(40)), "block_size": 24, "linear_dtype": linear_dtype, **SAMPLED}
    first = continue_with(model, prompts, **arguments)
    assert len(made) == 2  # blocks of 24 and 16
    for (network,) in cached_gpt2._IDLE[model].values():
        getattr(network, "network", network).whole_cache.fill_(math.nan)  # what an overflow would leave
    assert torch.equal(continue_with(model, prompts, **arguments), first)
    for weight in model.parameters():
        weight.data.mul_(0.5)
    second = continue_with(model, prompts, **arguments)
    assert len(made) == 2 and not torch.equal(second, first)
    cached_gpt2._IDLE.clear()
    assert torch.equal(continue_with(model, prompts, **arguments), second)
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)
    continue_with(model, prompts, **arguments)
    assert len(made) == 6  # the old ones would have read the old memory


def test_product_and_activation_in_one_call_are_both(many):
    layer = many[0].transformer.h[0].mlp.c_fc
    layer.weight.data.normal_()
    inputs = (torch.randn(50, len(layer.weight)) / len(layer.weight) ** 0.5).bfloat16()
    found = cached_gpt2._Linear(layer, torch.bfloat16, cached_gpt2._gelu)(inputs)
    expected = torch.nn.functional.gelu(layer(inputs.float()), approximate="tanh")
    torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0.03)


def test_a_cpu_keeps_one_cache_of_a_shape_and_no_large_one(many, monkeypatch):
    arguments = {"seeds": list(range(40)), "block_size": 10, **SAMPLED}
    continue_with(*many, **arguments)
    assert [len(idle) for idle in cached_gpt2._IDLE[many[0]].values()] == [1]
    with pytest.raises(MemoryError):  # a call that fails for lack of memory must find more at its next try
        continue_with(many[0], many[1][:10], callback=Mock(side_effect=MemoryError), seeds=list(range(10)), **SAMPLED)
    assert many[0] not in cached_gpt2._IDLE
    monkeypatch.setattr(cached_gpt2, "MAX_IDLE_BYTES", 1000)
    continue_with(*many, **arguments)
    assert not any(cached_gpt2._IDLE[many[0]].values())


def test_where_capturing_fails_a_warning_says_so_once(many, graphs, monkeypatch):
    model, prompts = many
    arguments = {"seeds": list(range(40)), "block_size": 16, **SAMPLED}
    expected = continue_with(model, prompts, **arguments)

    def fail(network, num_tokens):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(cached_gpt2, "_GraphedGPT2", fail)
    cached_gpt2._IDLE.clear()
    warnings = []
    monkeypatch.setattr(cached_gpt2.logger, "warning", warnings.append)
    for _ in range(2):
        assert torch.equal(continue_with(model, prompts, **arguments), expected)
    assert len(warnings) == 1 and "could not be captured as a CUDA graph" in warnings[0]


LEFT_TO_STOCK = {
    "beams": {"num_beams": 2},
    "dictionary": {"return_dict_in_generate": True},
    "time": {"max_time": 600.0},
    "no cache": {"use_cache": False},
    "padding": {"attention_mask": torch.tensor([[0, 1], [1, 1]])},
    "ours": {},
}


@pytest.mark.parametrize("name", LEFT_TO_STOCK)
def test_what_decode_does_not_do_is_left_to_stock_generate(model, name):
    prompts = torch.tensor([[1, 2], [2, 2]])
    arguments = {"attention_mask": torch.ones_like(prompts), "max_length": 12, "do_sample": False, "pad_token_id": PAD}
    arguments |= LEFT_TO_STOCK[name]
    found = predictive_sampling.generate(prompts, model=model, **arguments)
    expected = model.generate(prompts, **arguments)
    if name == "dictionary":
        found, expected = found.sequences, expected.sequences
    assert torch.equal(found, expected)
    # an argument of `decode` is not lost on the way there
    with pytest.raises(ValueError, match="`num_beams` must be 1"):
        predictive_sampling.generate(torch.tensor([[1]]), model=model, num_beams=2, draft_lookback=2, max_length=9)


def test_autocast_gives_the_dtype_of_products(many):
    arguments = {"seeds": list(range(40)), **SAMPLED}
    expected = continue_with(*many, linear_dtype=torch.bfloat16, **arguments)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(continue_with(*many, **arguments), expected)
        assert CachedGPT2(many[0], 1, 4).cache.dtype == torch.bfloat16
    assert CachedGPT2(many[0], 1, 4).cache.dtype == torch.float32


def test_a_compiled_model_is_unwrapped(model):
    prompts = torch.tensor([[1, 2], [2, 2]])
    found = predictive_sampling.generate(prompts, model=torch.compile(model), max_length=12, do_sample=False)
    assert torch.equal(found, continue_with(model, prompts, max_length=12))


def test_a_model_on_several_devices_is_refused():
    model = build_model()
    model.transformer.h[1].to("meta")
    with pytest.raises(ValueError, match="the model must have all its weights on one device, got cpu and meta"):
        continue_with(model, torch.tensor([[1]]))
