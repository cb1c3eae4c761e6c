"""What every function of the header is called with: where nothing is wrong, and each parameter with each wrong value and its status."""

import ctypes as C
import math

from argument_values import BAD, CORRUPT, FORBIDDEN, FORMAT, FULL, HUGE, INVALID, IO, MISSING, NOMEM, NO_LOGITS, NULL, OK, Options, RANGE, SMALL, STRUCT, TOKEN, adapter, ask, beam_options, chat_options, context, context_options, counts, decoder, entries, error, generate_options, grammar, grammar_options, inputs, message, model, model_options, new, no_sequence, out_text, outputs, paths, quantize_options, request_options, sampler, sampler_options, scaled, scheduler, scheduler_options, seek, sizes, state, talk

from llama2swift import _library as lib
from llama2swift import _structs as S

# What is passed where nothing is wrong, and the rows of each parameter: (value, expected status).
CALLS = {
    "llama2_struct_size": (dict(structure=1, size="out"), dict(structure=[(0, INVALID), (36, INVALID), (2**32 - 1, INVALID)], size=new)),
    "llama2_struct_init": (dict(structure="out", size=64), dict(structure=new, size=[(0, INVALID), (3, INVALID), (4, OK), (4096, OK), (4097, INVALID), *counts])),
    "llama2_kernels_available": (dict(mask="out"), dict(mask=new)),
    "llama2_model_load": (
        dict(path="path", options=None, model="out", error=None, error_capacity=0),
        dict(path=paths, options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_load_memory": (
        dict(data="model_bytes", size="model_size", options=None, model="out", error=None, error_capacity=0),
        dict(data=[(None, NULL)], size=[(0, FORMAT), (100, FORMAT), *counts], options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_load_fd": (
        dict(descriptor="model_fd", options=None, model="out", error=None, error_capacity=0),
        dict(descriptor=[(-1, IO), (2**31 - 1, IO)], options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_load_io": (
        dict(io="model_io", options=None, model="out", error=None, error_capacity=0),
        dict(io=[(None, NULL), *[(o, status if status else NULL) for o, status in sizes(S.IO)], (Options(S.IO, size=4, read=1, reserved=1), INVALID),
                 (Options(S.IO, size=4), NULL), ("failing_io", IO), (Options(S.IO, size=2**64 - 1, read=1), INVALID), (Options(S.IO, size=2**62, read=1), NOMEM), (Options(S.IO, size=0, read=1), FORMAT)],
             options=[(None, OK), *model_options], model=new, **error),
    ),
    "llama2_model_hyperparameters": (
        dict(model="model", values=Options(S.Hyperparameters)), dict(model=model, values=[(None, NULL), *sizes(S.Hyperparameters)])),
    "llama2_model_description": (dict(model="model", text="out", capacity=1000, needed="out2"), dict(model=model, **out_text)),
    "llama2_model_metadata_count": (dict(model="model", count="out"), dict(model=model, count=new)),
    "llama2_model_metadata_key": (
        dict(model="model", index=0, text="out", capacity=1000, needed="out2"),
        dict(model=model, index=[(1000, RANGE), (HUGE, RANGE)], **out_text),
    ),
    "llama2_model_metadata": (
        dict(model="model", key=b"general.architecture", key_length=20, text="out", capacity=1000, needed="out2"),
        dict(model=model, key=[(None, NULL), (b"x" * 20, MISSING), (b"\xff" * 20, MISSING)], key_length=[(0, MISSING), (5, MISSING), *counts], **out_text),
    ),
    "llama2_tokenize": (
        dict(model="model", text=b"hello there", text_length=11, flags=0, tokens="out", capacity=100, count="out2"),
        dict(model=model, text=[(None, NULL), (b"\xff\xfe\0 \x80.......", OK)], text_length=[(0, OK), (HUGE, INVALID), (2**40, INVALID)],
             flags=[(24, OK), (32, INVALID), (2**31, INVALID)], tokens=[(None, NULL)], capacity=[(0, SMALL), (1, SMALL)], count=new),
    ),
    "llama2_detokenize": (
        dict(model="model", tokens="tokens", count=4, flags=0, text="out", capacity=1000, length="out2"),
        dict(model=model, tokens=[(None, NULL), ("wrong_tokens4", TOKEN)], count=[(0, OK), *counts], flags=[(2, INVALID)], text=[(None, NULL)],
             capacity=[(0, SMALL)], length=new),
    ),
    "llama2_token_piece": (
        dict(model="model", token=300, flags=0, text="out", capacity=100, needed="out2"),
        dict(model=model, token=[(-1, TOKEN), (512, TOKEN), (2**31 - 1, TOKEN)], flags=[(2, INVALID)], text=[(None, NULL)], capacity=[(0, SMALL)], needed=new),
    ),
    "llama2_token_is_end": (dict(model="model", token=2, is_end="out"), dict(model=model, token=[(-1, TOKEN), (512, TOKEN)], is_end=new)),
    "llama2_model_special_tokens": (
        dict(model="model", tokens=Options(S.SpecialTokens)), dict(model=model, tokens=[(None, NULL), *sizes(S.SpecialTokens)])),
    "llama2_chat_encode": (
        dict(model="model", messages=message(b"user", b"hi"), count=1, flags=0, tokens="out", capacity=1000, needed="out2"),
        dict(model=model, messages=[(None, NULL), (message(None, b"hi", 4), NULL), (message(b"user", None, None, 5), NULL), (message(b"user", b"hi", HUGE), INVALID),
             (message(b"x" * 65, b"hi"), INVALID)], count=[(0, INVALID), (2**21, INVALID), (HUGE, INVALID)], flags=[(4, INVALID)], tokens=[(None, NULL)],
             capacity=[(0, SMALL)], needed=new),
    ),
    "llama2_chat_encode_json": (
        dict(model="model", options=talk(), tokens="out", capacity=1000, needed="out2"),
        dict(model=model, options=chat_options, tokens=[(None, NULL)], capacity=[(0, SMALL)], needed=new),
    ),
    "llama2_chat_render": (dict(model="model", options=talk(), text="out", capacity=1000, needed="out2"), dict(model=model, options=chat_options, **out_text)),
    "llama2_chat_format": (dict(model="model", text="out", capacity=100, needed="out2"), dict(model=model, **out_text)),
    "llama2_decoder_create": (
        dict(model="model", flags=0, decoder="out", error=None, error_capacity=0), dict(model=model, flags=[(4, INVALID)], decoder=new, **error)),
    "llama2_decoder_append": (
        dict(decoder="decoder", token=300, text="out", capacity=100, length="out2"),
        dict(decoder=decoder, token=[(-1, TOKEN), (512, TOKEN)], text=[(None, NULL)], capacity=[(0, SMALL)], length=new),
    ),
    "llama2_decoder_finish": (
        dict(decoder="decoder", text="out", capacity=100, length="out2"), dict(decoder=decoder, text=[(None, NULL)], capacity=[(0, OK)], length=new)),
    "llama2_decoder_save": (
        dict(decoder="decoder", data="out", capacity=1000, needed="out2"),
        dict(decoder=decoder, data=[(None, NULL)], capacity=[(0, SMALL), (63, SMALL), (64, OK)], needed=new),
    ),
    "llama2_decoder_load": (
        dict(decoder="decoder", data="saved_decoder", size="saved_decoder_size"),
        dict(decoder=decoder, data=[(None, NULL), ("saved_sampler", FORMAT)], size=[(0, FORMAT), (31, CORRUPT), (56, CORRUPT), *counts]),
    ),
    "llama2_preflight": (
        dict(path="path", model_options=None, context_options=None, memory=Options(S.Memory), error=None, error_capacity=0),
        dict(path=paths, model_options=[(None, OK), *model_options], context_options=[(None, OK), *context_options], memory=[(None, NULL), *sizes(S.Memory)], **error),
    ),
    "llama2_context_create": (
        dict(model="model", options=None, context="out", error=None, error_capacity=0),
        dict(model=model, options=[(None, OK), *context_options], context=new, **error),
    ),
    "llama2_context_get_info": (dict(context="context", info=Options(S.ContextInfo)), dict(context=context, info=[(None, NULL), *sizes(S.ContextInfo)])),
    "llama2_context_reset": (dict(context="context"), dict(context=context)),
    "llama2_context_set_cancel": (dict(context="context", callback=lib.CancelCallback(0), user_data=None), dict(context=context, callback=[(lib.CancelCallback(0), OK)], user_data=[(1, OK)])),
    "llama2_eval": (
        dict(context="context", tokens="tokens", count=4),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)], count=[(0, INVALID), (65, FULL), (2**40, FULL), *counts]),
    ),
    "llama2_eval_batch": (
        dict(context="context", entries=entries((1, 0, 1)), count=1),
        dict(context=context, entries=[(None, NULL), (entries((-1, 0, 1)), TOKEN), (entries((512, 0, 1)), TOKEN), (entries((1, 2, 1)), RANGE),
             (entries((1, -1, 1)), RANGE), (entries((1, 0, 2)), INVALID)], count=[(0, INVALID), (65, FULL), (2**40, FULL), *counts]),
    ),
    "llama2_eval_layers": (
        dict(context="context", entries=entries((1, 0, 1)), count=1, hidden_in=None, hidden_out="out"),
        dict(context=context, entries=[(None, NULL), (entries((512, 0, 1)), TOKEN), (entries((1, 2, 1)), RANGE), (entries((1, 0, 2)), INVALID)],
             count=[(0, INVALID), (65, FULL), (2**40, FULL), *counts], hidden_in=[("out", INVALID)], hidden_out=[(None, OK)]),
    ),
    "llama2_logits_rows": (dict(context="context", rows="out"), dict(context=context, rows=new)),
    "llama2_logits": (
        dict(context="context", row=0, logits="out", count="out2"),
        dict(context=context, row=[(1, NO_LOGITS), (HUGE, NO_LOGITS), (2**63, NO_LOGITS)], logits=new, count=new),
    ),
    "llama2_embeddings": (
        dict(context="context", tokens="tokens", lengths=(C.c_size_t * 2)(1, 3), count=2, pooling=1, flags=1, embeddings="out", capacity=2000, needed="out2"),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)],
             lengths=[(None, NULL), ((C.c_size_t * 2)(1, 0), INVALID), ((C.c_size_t * 2)(1, HUGE), INVALID), ((C.c_size_t * 2)(2**63 - 1, 1), FULL), ((C.c_size_t * 2)(1, 2**61), FULL)],
             count=[(0, INVALID), *counts], pooling=[(0, OK), (2, OK), (3, OK), (4, INVALID), (2**32 - 1, INVALID)], flags=[(0, OK), (2, INVALID)],
             embeddings=[(None, NULL)], capacity=[(0, SMALL), (127, SMALL), (128, OK)], needed=new),
    ),
    "llama2_sequence_length": (dict(context="context", sequence=0, length="out"), dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (2**31 - 1, RANGE)], length=new)),
    "llama2_sequence_remove": (
        dict(context="context", sequence=0, length=0), dict(context=context, sequence=[(-1, RANGE), (2, RANGE)], length=[(64, RANGE), (HUGE, RANGE)])),
    "llama2_sequence_copy": (
        dict(context="context", source=0, target=1, length=2),
        dict(context=context, source=[(-1, RANGE), (2, RANGE), (1, RANGE)], target=[(-1, RANGE), (2, RANGE), (2**31 - 1, RANGE), (0, INVALID)],
             length=[(0, OK), (5, RANGE), (HUGE, RANGE), (2**63, RANGE)]),
    ),
    "llama2_sequence_adopt": (
        dict(context="context", sequence=1, tokens="tokens", count=4, found="out"),
        dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (0, INVALID)], tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)],
             count=[(0, INVALID), *counts], found=new),
    ),
    "llama2_sequence_shift": (
        dict(context="context", sequence=0, keep=1, drop=2),
        dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (1, RANGE)], keep=[(0, OK), (2, OK), (3, RANGE), (HUGE, RANGE), (HUGE - 1, RANGE), (2**63, RANGE)],
             drop=[(0, OK), (3, OK), (4, RANGE), (HUGE, RANGE), (2**63 - 1, RANGE)]),
    ),
    "llama2_context_set_layer_callback": (
        dict(context="context", callback=S.LayerCallback(0), user_data=None, options=None),
        dict(context=context, callback=[(S.LayerCallback(0), OK)], user_data=[(1, OK)],
             options=[(None, OK), *inputs(S.LayerOptions, flags=(4, INVALID), first_layer=(5, RANGE), layer_count=(6, RANGE), reserved=(1, INVALID)), (Options(S.LayerOptions, flags=2, sequence=2), RANGE)]),
    ),
    "llama2_adapter_load": (
        dict(model="model", path="adapter_path", adapter="out", error=None, error_capacity=0),
        dict(model=model, path=[(None, NULL), (b"/nowhere/adapter", IO), (b"", IO), (b"/", FORMAT), ("text", FORMAT), ("path", FORMAT)], adapter=new, **error),
    ),
    "llama2_adapter_get_info": (dict(adapter="adapter", info=Options(S.AdapterInfo)), dict(adapter=adapter, info=[(None, NULL), *sizes(S.AdapterInfo)])),
    "llama2_sequence_set_adapters": (
        dict(context="context", sequence=1, adapters="scaled", count=1),
        dict(context=context, sequence=[(-1, RANGE), (2, RANGE), (0, INVALID)], adapters=[(None, NULL), (scaled(0x1234, 1.0), BAD), (scaled(None, 1.0), NULL)],
             count=[(0, OK), (65, INVALID), *counts]),
    ),
    "llama2_state_size": (dict(context="context", sequence=-1, size="out"), dict(context=context, sequence=no_sequence, size=new)),
    "llama2_state_save": (dict(context="context", sequence=-1, path="output"), dict(context=context, sequence=no_sequence, path=outputs)),
    "llama2_state_save_memory": (
        dict(context="context", sequence=-1, data="out", capacity=30000, needed="out2"),
        dict(context=context, sequence=no_sequence, data=[(None, NULL)], capacity=[(0, SMALL), (1, SMALL)], needed=new),
    ),
    "llama2_state_save_io": (
        dict(context="context", sequence=-1, write="writes", user_data=None),
        dict(context=context, sequence=no_sequence, write=[(S.WriteCallback(0), NULL), (S.WriteCallback(lambda *_: 5), IO)], user_data=[(1, OK)]),
    ),
    "llama2_state_load": (
        dict(context="context", sequence=-1, path="state_path"),
        dict(context=context, sequence=[*no_sequence, (0, INVALID)],
             path=[(None, NULL), (b"/nowhere/state", IO), (b"", IO), (b"/", IO), ("text", FORMAT), ("path", FORMAT), (b"\xff\xfe", IO)]),
    ),
    "llama2_state_load_memory": (
        dict(context="context", sequence=-1, data="state", size="state_size"),
        dict(context=context, sequence=[*no_sequence, (0, INVALID)], data=[(None, NULL)], size=[(0, FORMAT), (79, CORRUPT), (100, CORRUPT), *counts]),
    ),
    "llama2_state_load_io": (
        dict(context="context", sequence=-1, io="state_io"),
        dict(context=context, sequence=[*no_sequence, (0, INVALID)],
             io=[(None, NULL), *[(o, status if status else NULL) for o, status in sizes(S.IO)], ("failing_io", IO), ("model_io", FORMAT),
                 (Options(S.IO, size=4, read=1, reserved=1), INVALID), (Options(S.IO, size=2**62, read=1), NOMEM), (Options(S.IO, size=0, read=1), FORMAT)]),
    ),
    "llama2_context_timings": (dict(context="context", timings=Options(S.Timings)), dict(context=context, timings=[(None, NULL), *sizes(S.Timings)])),
    "llama2_sampler_create": (dict(options=None, sampler="out", error=None, error_capacity=0), dict(options=[(None, OK), *sampler_options], sampler=new, **error)),
    "llama2_sampler_reset": (dict(sampler="sampler"), dict(sampler=sampler)),
    "llama2_sampler_accept": (dict(sampler="sampler", token=1), dict(sampler=sampler, token=[(-1, TOKEN), (2**31 - 1, OK)])),
    "llama2_sampler_save": (
        dict(sampler="sampler", data="out", capacity=1000, needed="out2"),
        dict(sampler=sampler, data=[(None, NULL)], capacity=[(0, SMALL), (119, SMALL), (120, OK)], needed=new),
    ),
    "llama2_sampler_load": (
        dict(sampler="sampler", data="saved_sampler", size="saved_sampler_size"),
        dict(sampler=sampler, data=[(None, NULL), ("saved_decoder", FORMAT)], size=[(0, FORMAT), (31, CORRUPT), (112, CORRUPT), *counts]),
    ),
    "llama2_sample": (dict(context="context", sampler="sampler", token="out"), dict(context=context, sampler=sampler, token=new)),
    "llama2_grammar_create": (
        dict(model="model", kind=3, text=b"a+", text_length=2, options=None, grammar="out", error=None, error_capacity=0),
        dict(model=model, kind=[(0, INVALID), (5, INVALID)], text=[(None, NULL), (b"(a", INVALID)], text_length=[(0, OK), (2**24 + 1, INVALID), (HUGE, INVALID)],
             options=[(None, OK), *grammar_options], grammar=new, **error),
    ),
    "llama2_grammar_accepts": (
        dict(grammar="grammar", text=b"aa", text_length=2, accepts="out"), dict(grammar=grammar, text=[(None, NULL)], text_length=[(0, OK), (HUGE, INVALID)], accepts=new)),
    "llama2_grammar_ignored": (
        dict(grammar="grammar", text="out", capacity=100, needed="out2"), dict(grammar=grammar, text=[(None, NULL)], capacity=[(0, OK)], needed=new)),
    "llama2_grammar_start": (dict(grammar="grammar", state="out", error=None, error_capacity=0), dict(grammar=grammar, state=new, **error)),
    "llama2_grammar_state_allowed": (
        dict(state="grammar_state", mask="out", capacity=100, needed="out2"), dict(state=state, mask=[(None, NULL)], capacity=[(0, SMALL), (15, SMALL), (16, OK)], needed=new)),
    "llama2_grammar_state_allowed_within": (
        dict(state="grammar_state", tokens=3, mask="out", capacity=100, needed="out2"),
        dict(state=state, tokens=[(0, OK), (HUGE, OK)], mask=[(None, NULL)], capacity=[(0, SMALL), (15, SMALL), (16, OK)], needed=new)),
    "llama2_grammar_state_shortest": (
        dict(state="forced_state", tokens="out", text="out2", capacity=100, needed="out3"),
        dict(state=state, tokens=new, text=[(None, NULL)], capacity=[(0, SMALL)], needed=new)),
    "llama2_grammar_state_accept": (dict(state="grammar_state", token="token_a"), dict(state=state, token=[(-1, TOKEN), (512, TOKEN), (300, FORBIDDEN)])),
    "llama2_grammar_state_withdraw": (dict(state="grammar_state", count=0), dict(state=state, count=[(2**40, RANGE), (HUGE, RANGE)])),
    "llama2_grammar_state_reset": (dict(state="grammar_state"), dict(state=state)),
    "llama2_grammar_state_complete": (dict(state="grammar_state", complete="out"), dict(state=state, complete=new)),
    "llama2_grammar_state_forced": (
        dict(state="forced_state", text="out", capacity=100, needed="out2"), dict(state=state, text=[(None, NULL)], capacity=[(0, SMALL)], needed=new)),
    "llama2_sample_logits": (dict(sampler="sampler", logits="row", count=512, token="out"), dict(sampler=sampler, logits=[(None, NULL)], count=[(0, INVALID)], token=new)),
    "llama2_sampler_distribution": (
        dict(sampler="sampler", logits="row", count=512, candidates="out", capacity=512, needed="out"),
        dict(sampler=sampler, logits=[(None, NULL)], count=[(0, INVALID)], candidates=[(None, NULL)], capacity=[(0, SMALL)], needed=[(None, NULL)]),
    ),
    "llama2_sampler_set_grammar": (dict(sampler="spare", grammar="grammar"), dict(sampler=sampler, grammar=[(None, OK), *grammar[1:]])),
    "llama2_model_tensor_count": (dict(model="model", count="out"), dict(model=model, count=new)),
    "llama2_model_tensor": (
        dict(model="model", index=0, info=Options(S.TensorInfo), name="out", capacity=1000, needed="out2"),
        dict(model=model, index=[(10**6, RANGE), (HUGE, RANGE), (2**63, RANGE)], info=[(None, NULL), *sizes(S.TensorInfo)], name=[(None, NULL)],
             capacity=[(0, SMALL), (1, SMALL)], needed=[(None, NULL)]),
    ),
    "llama2_quantize": (
        dict(path="path", output="output", options=None, error=None, error_capacity=0),
        dict(path=paths, output=outputs, options=[(None, OK), *quantize_options], **error),
    ),
    "llama2_convert": (
        dict(path="path", output="output", options=None, error=None, error_capacity=0),
        dict(path=paths, output=outputs, options=[(None, OK), *quantize_options, (Options(S.QuantizeOptions, type=b"Q4_0"), INVALID)], **error),
    ),
    "llama2_importance": (
        dict(context="context", tokens="tokens", count=4, window=4, output="output", progress=lib.ProgressCallback(0), user_data=None),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)], count=[(0, INVALID), (3, INVALID), *counts],
             window=[(0, INVALID), (65, RANGE), (HUGE, RANGE), (2**63, RANGE)], output=outputs, progress=[(lib.ProgressCallback(0), OK)], user_data=[(1, OK)]),
    ),
    "llama2_perplexity": (
        dict(context="context", tokens="tokens", count=4, window=4, callback=lib.PerplexityCallback(0), user_data=None, result=Options(S.PerplexityResult)),
        dict(context=context, tokens=[(None, NULL), ("wrong_tokens4", TOKEN), ("negative4", TOKEN)], count=[(0, INVALID), (3, INVALID), *counts],
             window=[(0, INVALID), (3, RANGE), (65, RANGE), (HUGE, RANGE), (2**63, RANGE)], callback=[(lib.PerplexityCallback(0), OK)], user_data=[(1, OK)],
             result=[(None, NULL), *sizes(S.PerplexityResult)]),
    ),
    "llama2_score": (
        dict(context="context", prompt="tokens", prompt_count=1, continuation="tokens", continuation_count=3, log_probabilities="out", is_best="out2"),
        dict(context=context, prompt=[(None, NULL), ("negative4", OK)], prompt_count=[(0, INVALID), (62, FULL), (2**40, FULL), *counts],
             continuation=[(None, NULL)], continuation_count=[(0, OK), (64, FULL), (2**40, FULL), *counts], log_probabilities=[(None, NULL)], is_best=[(None, OK)]),
    ),
    "llama2_generate": (
        dict(context="context", sampler="sampler", options=Options(S.GenerateOptions, max_tokens=2), callback=lib.PieceCallback(0), user_data=None),
        dict(context=context, sampler=sampler, options=[(None, OK), *generate_options], callback=[(lib.PieceCallback(0), OK)], user_data=[(1, OK)]),
    ),
    "llama2_beam_search": (
        dict(context="context", options=seek(), found="out", found_count=1, tokens="out2", token_capacity=2, needed="out3"),
        dict(context=context, options=beam_options, found=[(None, NULL)], found_count=[(0, INVALID), (2, INVALID), (257, INVALID), (2**40, INVALID), (HUGE, INVALID)], tokens=[(None, NULL)],
             token_capacity=[(0, SMALL), (1, SMALL), (2**40, OK), (HUGE, OK)], needed=[(None, NULL)]),
    ),
    "llama2_best_of": (
        dict(context="context", options=seek(width=0), samplers="samplers", sampler_count=1, found="out", tokens="out2", token_capacity=2),
        dict(context=context, options=[(None, INVALID), (seek(width=0, struct_size=3), STRUCT), (seek(width=0, tail=b"\0\1"), STRUCT), (seek(width=0, reserved=1), INVALID), (seek(width=0, flags=1), INVALID),
                                      (seek(), INVALID), (seek(width=0, length_penalty=1), INVALID), (seek(width=0, ids=()), INVALID), (seek(width=0, ids=(512,)), TOKEN), (seek(width=0, ids=[1] * 61), FULL),
                                      (seek(width=0, prompt=None), NULL), (seek(width=0, prompt_count=HUGE), INVALID), (seek(width=0, max_tokens=0), RANGE), (seek(width=0, max_tokens=65), RANGE)],
             samplers=[(None, NULL), ("freed_handles", BAD)], sampler_count=[(0, INVALID), (257, INVALID), (2**40, INVALID), (HUGE, INVALID)], found=[(None, NULL)], tokens=[(None, NULL)],
             token_capacity=[(0, SMALL), (1, SMALL), (2**40, OK), (HUGE, OK)]),
    ),
    "llama2_guide_logits": (
        dict(wanted="row", unwanted="row", count=512, scale=C.c_float(2), mixed="out"),
        dict(wanted=[(None, NULL)], unwanted=[(None, NULL), ("no_row", INVALID)], count=[(0, INVALID), (HUGE, INVALID)], scale=[(C.c_float(math.nan), INVALID), (C.c_float(math.inf), INVALID)], mixed=[(None, NULL)]),
    ),
    "llama2_scheduler_create": (
        dict(context="calm", options=None, scheduler="out", error=None, error_capacity=0),
        dict(context=context, options=[(None, OK), *scheduler_options], scheduler=new, **error),
    ),
    "llama2_scheduler_submit": (dict(scheduler="scheduler", options=ask(), request="out"), dict(scheduler=scheduler, options=request_options, request=new)),
    "llama2_scheduler_cancel": (dict(scheduler="scheduler", request=1), dict(scheduler=scheduler, request=[(0, MISSING), (2**40, MISSING), (2**63, MISSING), (HUGE, MISSING)])),
    "llama2_scheduler_step": (dict(scheduler="scheduler", remaining="out"), dict(scheduler=scheduler, remaining=new)),
    "llama2_scheduler_get_stats": (dict(scheduler="scheduler", stats=Options(S.SchedulerStats)), dict(scheduler=scheduler, stats=[(None, NULL), *sizes(S.SchedulerStats)])),
}  # fmt: skip

# Functions that cannot fail: any argument at all.
TOTAL = {
    "llama2_version": [()], "llama2_last_error": [()], "llama2_last_system_error": [()],
    "llama2_cancel_flag": [(None,), (C.byref(C.c_int32(0)),), (C.byref(C.c_int32(-1)),)],
    "llama2_status_string": [(0,), (-1,), (1,), (-(2**31),), (2**31 - 1,)],
    "llama2_type_name": [(0,), (4,), (35,), (36,), (2**32 - 1,)],
    "llama2_context_last_error": [(None,), (0x1234,), (HUGE,)],
    **{f"llama2_{k}_free": [(None,), (0x1234,), (HUGE,)] for k in ("model", "context", "sampler", "decoder", "grammar", "grammar_state", "adapter", "scheduler")},
    **{f"llama2_{k}_options_init": [(None,)] for k in ("model", "context", "sampler", "generate", "quantize", "grammar", "chat", "scheduler", "request", "layer")},
}  # fmt: skip
