"""Ours and the peer behind the same four calls, so that the bench measures both in the same way."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np


def resident(process="self") -> int:
    """Bytes of a process that are in memory now."""
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))


class Ours:
    name = "llama2swift"

    def __init__(self, path, *, length, threads, sequences=1, kernels="best"):
        import llama2swift

        self.model = llama2swift.Model(path)
        self.context = self.model.context(length=length, threads=threads, sequences=sequences, kernels=kernels)
        self.vocabulary = self.model.hyperparameters.vocabulary_size

    def reset(self):
        self.context.reset()

    def eval(self, tokens):
        self.context.eval(tokens)

    def step(self, tokens):
        """One token for each sequence."""
        self.context.eval_batch([(t, s, True) for s, t in enumerate(tokens)])

    def close(self):
        self.context.close()
        self.model.close()


class LlamaCpp:
    name = "llama.cpp"
    installed = True
    try:
        import llama_cpp as api
    except ImportError:
        installed = False

    _log = None  # for ever: it is called at any time

    def __init__(self, path, *, length, threads, sequences=1, **more):
        """more: of llama_context_params."""
        c = self.api
        c.llama_backend_init()
        LlamaCpp._log = LlamaCpp._log or c.llama_log_callback(lambda *_: None)
        c.llama_log_set(LlamaCpp._log, None)
        options = c.llama_model_default_params()
        self.model = c.llama_model_load_from_file(os.fsencode(path), options)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {path}")
        options = c.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = length, 2048, 512
        options.n_threads = options.n_threads_batch = threads
        options.n_seq_max = sequences
        if sequences > 1:
            options.kv_unified = True
        for name, value in more.items():
            setattr(options, name, value)
        self.context = c.llama_init_from_model(self.model, options)
        if not self.context:
            raise RuntimeError("llama.cpp cannot create a context")
        self.vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        self.batch = c.llama_batch_init(options.n_batch, 0, 1)
        self.positions = [0] * sequences

    def reset(self):
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        self.positions = [0] * len(self.positions)

    def eval(self, tokens):
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        self._decode(self.api.llama_batch_get_one(array, len(tokens)))
        self.positions[0] += len(tokens)

    def step(self, tokens):
        b = self.batch
        b.n_tokens = len(tokens)
        for s, token in enumerate(tokens):
            b.token[s], b.pos[s], b.n_seq_id[s], b.logits[s] = token, self.positions[s], 1, 1
            b.seq_id[s][0] = s
            self.positions[s] += 1
        self._decode(b)

    def _decode(self, batch):
        if self.api.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        self.api.llama_get_logits_ith(self.context, -1)  # waits for the result

    def close(self):
        self.api.llama_batch_free(self.batch)
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)


READ = """
#include <stddef.h>
#include <stdint.h>
uint64_t sum(const uint64_t *p, size_t n) {
    uint64_t a[32] = {0}, s = 0;
    for (size_t i = 0; i + 32 <= n; i += 32) {
        __builtin_prefetch(p + i + 512);
        __builtin_prefetch(p + i + 520);
        __builtin_prefetch(p + i + 528);
        __builtin_prefetch(p + i + 536);
        for (int k = 0; k < 32; k++) a[k] += p[i + k];
    }
    for (int k = 0; k < 32; k++) s += a[k];
    return s;
}
"""


class Stream:
    """A bare read of a mapped file by some threads: what decoding could reach at best."""

    def __init__(self, path, threads):
        folder = tempfile.mkdtemp()
        source, library = Path(folder) / "read.c", Path(folder) / "read.so"
        source.write_text(READ)
        subprocess.run(["cc", "-O3", "-march=native", "-shared", "-fPIC", source, "-o", library], check=True)
        self._sum = ctypes.CDLL(library).sum
        self._sum.argtypes, self._sum.restype = [ctypes.c_void_p, ctypes.c_size_t], ctypes.c_uint64
        self._map = np.memmap(path, np.uint8, "r")
        self._threads = threads

    def read(self) -> int:
        """Reads everything once; the number of bytes."""
        count, base = self._map.size // 8 // self._threads, self._map.ctypes.data
        workers = [threading.Thread(target=self._sum, args=(base + 8 * i * count, count)) for i in range(self._threads)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        return self._map.size


def peak_memory(engine: str, path, threads: int) -> float:
    """MiB at most resident in a process of its own that loads, prefills 512 and decodes 8 tokens."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import engines\n"
        f"e = engines.{engine}({str(path)!r}, length=1024, threads={threads})\n"
        "e.eval([5] * 512)\nfor i in range(8): e.eval([7])\n"
        # not getrusage: its peak is inherited from the process that started this one
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
