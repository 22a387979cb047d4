"""Where networks with weights in half precision compute in it, and where in FP32."""

_CPU_FEATURES = {"fp16": ("avx512_fp16", "amx_fp16"), "bf16": ("avx512_bf16", "amx_bf16")}
"""What makes a CPU faster in a precision than in FP32. Without, it imitates it: FP16 took 16 times as long as FP32."""


def computes_in(dtype: str, device: str) -> bool:
    """Whether a device, cpu or cuda, is faster in fp16 or bf16 than in FP32: there, arithmetic is in it, too."""
    from compress.machine import cpu_has_any

    return device == "cuda" or cpu_has_any(_CPU_FEATURES[dtype])


def arithmetic_text(dtype: str, device: str) -> str:
    """What a network of scheme fp16 or bf16 computes in on a device, and why, in words."""
    name = dtype.upper()
    if computes_in(dtype, device):
        return f"weights and arithmetic in {name}"
    return f"weights in {name}, arithmetic in FP32: this CPU has no {name} arithmetic"
