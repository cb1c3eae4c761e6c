"""A look inside: the residual stream behind layers, while an eval computes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _structs as S

Rows = np.ndarray[Any, np.dtype[np.float32]]
NO_ROWS: Rows = np.empty((0, 0), np.float32)


class LayerView:
    """The residual stream behind layer `layer`, counted from 0, at consecutive positions of a sequence.

    `hidden` is (rows, embedding) of float32, the eval's own memory without a copy, for the time of the call, after which the view has none: copy what is to stay. It can be
    written to if the callback was set with ``change=True``. As long as such an array is alive the context refuses the next eval with
    BufferError. Row i is that of position `position` + i.
    """

    __slots__ = ("hidden", "layer", "position", "sequence")

    def __init__(self, layer: int, sequence: int, position: int, hidden: Rows):
        self.layer, self.sequence, self.position, self.hidden = layer, sequence, position, hidden

    def __repr__(self) -> str:
        return f"<llama2swift.LayerView layer {self.layer}, sequence {self.sequence}, {len(self.hidden)} positions from {self.position} on>"


class RowsMemory:
    """Stands behind every array of a view: keeps the context alive, and is known to it."""

    def __init__(self, context: object, view: S.LayerView, address: int, writable: bool):
        self.context = context
        self.__array_interface__ = {
            "version": 3, "shape": (int(view.count), int(view.width)), "typestr": "<f4", "data": (address, not writable),
        }  # fmt: skip
