"""Counts the bytes that a GPU would hold while a program runs on fake tensors."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

BLOCK = 512  # bytes: the caching allocator rounds up to them (c10/cuda/CUDACachingAllocator.cpp)
aten = torch.ops.aten
SOFTMAX = (aten._log_softmax.default, aten._softmax.default)


class Meter(TorchDispatchMode):
    """live: bytes of all storages that are there; peak: the most since the last `lap`, with what kernels take inside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is aten._local_scalar_dense.default:
            return 1.0  # .item() of a tensor without content
        if func is aten.add.Tensor and not torch.is_grad_enabled() and summed_by_autograd(*args):
            return args[0].add_(args[1])
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor.untyped_storage())
        if func in SOFTMAX and not args[0].is_contiguous():
            self.peak = max(self.peak, self.live + args[0].nbytes)  # native/cuda/SoftMax.cu: input.contiguous()
        return out

    def add(self, storage: Any) -> None:
        """Counts a storage until it is gone."""
        key = storage._cdata
        if key not in self._sizes and storage.nbytes():
            self._sizes[key] = -(-storage.nbytes() // BLOCK) * BLOCK
            self.live += self._sizes[key]
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.drop, key)

    def drop(self, key: int) -> None:
        """A storage is gone."""
        self.live -= self._sizes.pop(key)

    def lap(self) -> int:
        """The peak since the last lap."""
        peak, self.peak = self.peak, self.live
        return peak


def summed_by_autograd(one: Any, two: Any, *_more: Any) -> bool:
    """Whether autograd's engine adds gradients (csrc/autograd/input_buffer.cpp: accumulate): in place for real
    tensors, not for fake ones."""
    in_backward = torch._C._current_graph_task_id() >= 0
    return bool(in_backward and isinstance(two, torch.Tensor) and one.shape == two.shape and one.dtype == two.dtype)
