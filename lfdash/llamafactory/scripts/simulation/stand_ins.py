"""Stand-ins for what fake tensors cannot run: flash attention, bitsandbytes, liger, DeepSpeed's linear layer. They take
and keep the same bytes; what they compute is nothing."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Attention(torch.autograd.Function):
    """PyTorch's flash attention: keeps q, k, v, its output (laid out by token) and a float a head and token."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
        sequences, heads, length, _ = q.shape
        out = q.new_empty(sequences, length, heads, v.shape[-1]).transpose(1, 2)
        ctx.save_for_backward(q, k, v, out, q.new_empty(sequences, heads, length, dtype=torch.float))
        return out

    @staticmethod
    def backward(ctx: Any, _grad: Any) -> Any:
        """flash_api.cpp: mha_bwd makes dq_accum, and dk and dv of every query head."""
        q, k, v, *_ = ctx.saved_tensors
        inner = [torch.empty_like(q, dtype=torch.float)]
        inner += [torch.empty_like(q), torch.empty_like(q)] if q.shape != k.shape else []
        grads = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        del inner
        return grads


def attend(
    q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:
    """In the place of torch's scaled_dot_product_attention, which autocast casts the inputs of."""
    if torch.is_autocast_enabled("cpu"):
        q, k, v = (x.to(torch.bfloat16) for x in (q, k, v))
    return Attention.apply(q, k, v)


class Dequantized(torch.autograd.Function):
    """bitsandbytes/autograd/_functions.py: MatMul4Bit makes the weight anew both ways, MatMul8bitLt keeps its input."""

    @staticmethod
    def forward(ctx: Any, x: Any, layer: Any) -> Any:
        ctx.layer, ctx.x = layer, x if layer.bits == 8 else None
        if layer.bits == 4:
            return F.linear(x, x.new_empty(layer.out_features, layer.in_features))
        _codes = x.to(torch.float16).to(torch.int8)
        return x.new_empty(*x.shape[:-1], layer.out_features, dtype=torch.int32).to(torch.float16).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad @ grad.new_empty(ctx.layer.out_features, ctx.layer.in_features), None


class QuantizedLinear(nn.Linear):
    """In the place of a frozen nn.Linear; its scales as bitsandbytes/functional.py:quantize_4bit makes them."""

    def __init__(self, old: Any, bits: int, double: bool) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bits, self.bias = old.in_features, old.out_features, bits, old.bias
        count, blocks = old.weight.numel(), -(-old.weight.numel() // 64)
        self.weight = nn.Parameter(torch.empty(count * bits // 8, dtype=torch.uint8), requires_grad=False)
        doubled = blocks + 4 * -(-blocks // 256) + 1024
        scales = 4 * self.out_features if bits == 8 else doubled if double else 4 * blocks
        self.scales = torch.empty(scales, dtype=torch.uint8)

    def forward(self, x: Any) -> Any:
        y = Dequantized.apply(x.to(torch.bfloat16), self)
        y = y if self.bias is None else y + self.bias
        return y.clone() if self.bits == 4 else y  # peft/tuners/lora/bnb.py: result.clone()


class LigerLoss(torch.autograd.Function):
    """liger_kernel/ops/fused_linear_cross_entropy.py: gradients are made in the forward, by chunks of tokens."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any) -> Any:
        tokens, hidden = x.shape
        chunk = min(tokens, 1 << (-(-tokens // -(-weight.shape[0] // hidden)) - 1).bit_length())
        ctx.grads = torch.zeros_like(x), torch.zeros_like(weight) if weight.requires_grad else None
        wanted = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype
        copies = 2 if weight.requires_grad else 1  # of weight.t(); autocast keeps that of a trained weight, too
        _casts = [weight.to(wanted) for _ in range(copies) if weight.dtype != wanted]
        _logits = x.new_empty(chunk, weight.shape[0], dtype=wanted)
        return x.sum()

    @staticmethod
    def backward(ctx: Any, _grad: Any) -> Any:
        grads, ctx.grads = ctx.grads, None
        return grads


class Liger(torch.autograd.Function):
    """liger_kernel/ops/swiglu.py keeps gate and up, ops/rms_norm.py its input; both write gradients over what they got.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, other: Any) -> Any:
        ctx.save_for_backward(x, other)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, other = ctx.saved_tensors
        return grad, other if other.shape == x.shape else torch.empty_like(other) if other.requires_grad else None


class Zero3Linear(torch.autograd.Function):
    """deepspeed/runtime/zero/linear.py:LinearFunctionForZeroStage3 keeps every input, also of frozen weights."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any = None) -> Any:
        ctx.save_for_backward(x, weight)
        return x @ weight.t() if bias is None else x @ weight.t() + bias

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, weight = ctx.saved_tensors
        flat = grad.flatten(0, -2)
        of_weight = flat.t() @ x.flatten(0, -2) if weight.requires_grad else None
        return grad @ weight, of_weight, flat.sum(0) if ctx.needs_input_grad[2] else None


class Bytes(torch.optim.Optimizer):
    """An optimizer of which only the size of its states counts. size: bytes of one parameter's."""

    def __init__(self, params: list[Any], size: Any) -> None:
        super().__init__(params, {})
        self.size = size

    def step(self, closure: Any = None) -> None:
        for p in self.param_groups[0]["params"]:
            if p.grad is not None and p not in self.state:
                self.state[p] = {"all": torch.empty(int(self.size(p)), dtype=torch.uint8)}


def quantize(model: Any, bits: int, double: bool) -> None:
    """transformers/integrations/bitsandbytes.py: every nn.Linear but the head; experts are no nn.Linear."""
    for module in list(model.modules()):
        for name, linear in list(module.named_children()):
            if type(linear) is nn.Linear and name != "lm_head":
                setattr(module, name, QuantizedLinear(linear, bits, double))


def liger(model: Any) -> None:
    """liger_kernel/transformers/monkey_patch.py, what matters to memory: norms and gated MLPs (the loss: losses.py)."""
    for module in model.modules():
        if type(module).__name__.endswith("MLP") and hasattr(module, "gate_proj"):
            module.forward = lambda x, m=module: m.down_proj(Liger.apply(m.gate_proj(x), m.up_proj(x)))
        elif type(module).__name__.endswith("RMSNorm"):
            module.forward = lambda x, m=module: Liger.apply(x, m.weight)
