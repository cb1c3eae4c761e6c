"""What a sequence of a random walk holds, and how it came to be: so that a fresh context can be brought to the same."""

from __future__ import annotations

from pathlib import Path

import adapters as L
import numpy as np
from tiny_gguf import write_gguf


class Past(list):
    """Tokens, evaluated one after the other; or what an operation left of another past, cut to `kept` positions, and tokens behind that.

    op: ("shift", keep, drop), or ("steer", layer): the tokens behind `before` were evaluated with `steer` behind that layer.
    """

    def __init__(self, tokens=(), before: Past | None = None, op: tuple = (), kept: int = 0):
        super().__init__(tokens)
        self.before, self.op, self.kept = before, op, kept

    def pure(self) -> int:
        """How many positions depend on their tokens alone."""
        if self.before is None:
            return len(self)
        return min(self.before.pure(), self.op[1] if self.op[0] == "shift" else len(self.before))

    def plus(self, tokens) -> Past:
        return Past([*self, *tokens], self.before, self.op, self.kept)

    def cut(self, length: int) -> Past:
        if self.before is None:
            return Past(self[:length])
        kept = min(self.kept, length)
        if kept <= (self.op[1] if self.op[0] == "shift" else len(self.before)):
            return self.before.cut(kept).plus(self[kept:length])
        return Past(self[:length], self.before, self.op, kept)

    def shifted(self, keep: int, drop: int) -> Past:
        left = [*self[:keep], *self[keep + drop :]]
        return Past(left, self, ("shift", keep, drop), len(left)).cut(len(left)) if drop else self

    def steered(self, tokens, layer: int) -> Past:
        whole = [*self, *tokens]
        return Past(whole, self, ("steer", layer), len(whole))

    def has(self, token: int) -> bool:
        """Whether it ever had it."""
        return token in self or (self.before is not None and self.before.has(token))

    def longest(self) -> int:
        return max(len(self), 0 if self.before is None else self.before.longest())

    def replay(self, context, pieces) -> None:
        """Brings sequence 0 of an empty context here. pieces(tokens): how tokens are evaluated."""
        if self.before is None:
            return pieces(self) if self else None
        self.before.replay(context, pieces)
        if self.op[0] == "shift":
            context.shift(self.op[2], keep=self.op[1])
            context.truncate(self.kept)
        else:
            context.set_layer_callback(steer, change=True, layer=self.op[1])
            pieces(self[len(self.before) : self.kept])
            context.set_layer_callback(None)
        if self[self.kept :]:
            pieces(self[self.kept :])


def steer(view) -> None:
    """What is written to the residual stream: a function of what stands there and of the position."""
    view.hidden[:] *= np.float32(1.5)
    view.hidden[:, :3] += np.arange(view.position, view.position + len(view.hidden), dtype=np.float32)[:, None] % 7


def make_adapters(name: str, model, folder: Path) -> dict:
    """Adapters for a model: a product, all of them, two ranks, a control vector, and one whose keys leave F16 when its scale is huge."""
    h = model.hyperparameters
    shape = dict(vocabulary=h.vocabulary_size, dim=h.embedding_length, layers=h.block_count, heads=h.head_count, heads_kv=h.head_count_kv, hidden=h.feed_forward_length)
    large = h.parameter_count > 10**7
    made = {
        "one": L.adapter("one", lambda n: 2 if n.endswith("attn_v") and not (large and int(n.split(".")[1]) > 3) else 0, shape),
        "keys": L.adapter("keys", lambda n: 1 if n.endswith(".0.attn_k") or n.startswith("blk.0.attn_k") else 0, shape),
    }
    if not large:
        made["all"] = L.adapter("all", lambda n: 4, shape)
        made["some"] = L.adapter("some", lambda n: {"attn_q": 3, "ffn_down": 17, "attn_output": 1}.get(n.split(".")[-1], 0), shape)
    out = {kind: model.adapter(L.write_adapter(folder / f"{name}-{kind}.gguf", weights, 4)) for kind, weights in made.items()}
    control, width = folder / f"{name}-control.gguf", h.embedding_length
    directions = {f"direction.{i}": (0, (width,), L.exact(f"{name}{i}", (width,), 0.5).tobytes()) for i in (1, h.block_count - 1)}
    write_gguf(control, {"general.architecture": "controlvector", "controlvector.model_hint": "llama"}, directions)
    return out | {"control": model.adapter(control)}
