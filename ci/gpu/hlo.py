"""Counts from the text of a compiled program: kernels, convolutions, products, operations, bytes.

The text is that of XLA's optimized and scheduled module. A kernel is an instruction that the device gets as a launch of
its own: a fusion, a library call, a copy. What a loop repeats counts as often as it repeats it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier", "copy-done"}
"""Instructions for which the device does nothing."""
CALLS = {"call", "async-start", "conditional"}
PARTIAL = {"slice", "dynamic-slice", "gather"}
"""What reads only that much of its first operand as it puts out."""
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "f32": 4}
SCRATCH = {"s8", "u8"}
WIDE = {"s64": 8, "u64": 8, "f64": 8, "token": 0}
ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
CALLED = re.compile(r"(?:calls|to_apply|body|condition|branch_computations)=\{?((?:%[\w.\-]+(?:, )?)+)")
HEADER = re.compile(r"^(ENTRY )?%([\w.\-]+) .*\{$")
LINE = re.compile(r"^\s+(?:ROOT )?%([\w.\-]+) = (.*)$")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line; `shape`, `attributes` as text, `operands` by name."""

    name: str
    shape: str
    kind: str
    operands: tuple[str, ...]
    attributes: str

    @property
    def size(self) -> int:
        """Bytes of what it puts out; a library's scratch memory is not among them."""
        arrays = [item for item in ARRAY.findall(self.shape) if self.kind != "custom-call" or item[0] not in SCRATCH]
        return sum((BYTES | WIDE).get(kind, 4) * math.prod(_numbers(dims)) for kind, dims in arrays)

    @property
    def dims(self) -> list[int]:
        """The sizes of its first array's axes."""
        found = ARRAY.search(self.shape)
        return _numbers(found[2]) if found else []

    def called(self) -> list[str]:
        """Return the computations that it names."""
        return [name for group in CALLED.findall(self.attributes) for name in re.findall(r"%([\w.\-]+)", group)]

    def attribute(self, name: str) -> str | None:
        """Return the value of an attribute such as `dim_labels`."""
        found = re.search(rf"\b{name}=([^\s,]+)", self.attributes)
        return found[1].strip('"') if found else None


@dataclass(frozen=True)
class Counts:
    """What a call of a program takes. `kernels` by kind: `fusion`, `product`, `convolution`, `copy`, `other`."""

    kernels: Counter[str]
    grouped: int
    operations: int
    bytes: int

    def times(self, count: int) -> Counts:
        """Return the counts of so many calls."""
        kernels = Counter({kind: number * count for kind, number in self.kernels.items()})
        return Counts(kernels, self.grouped * count, self.operations * count, self.bytes * count)

    def plus(self, other: Counts) -> Counts:
        """Return the counts of both."""
        return Counts(
            self.kernels + other.kernels,
            self.grouped + other.grouped,
            self.operations + other.operations,
            self.bytes + other.bytes,
        )


NOTHING = Counts(Counter(), 0, 0, 0)


class Module:
    """A compiled program's text, taken apart."""

    def __init__(self, text: str) -> None:
        self.computations: dict[str, dict[str, Instruction]] = {}
        self.entry = ""
        current: dict[str, Instruction] = {}
        for line in text.splitlines():
            if (header := HEADER.match(line)) is not None:
                current = self.computations.setdefault(header[2], {})
                self.entry = header[2] if header[1] else self.entry
            elif (found := LINE.match(line)) is not None:
                current[found[1]] = _instruction(found[1], found[2])

    @cached_property
    def counts(self) -> Counts:
        """What one call of the program takes."""
        return self._of(self.entry)

    def _of(self, name: str) -> Counts:
        total = NOTHING
        for instruction in self.computations[name].values():
            total = total.plus(self._of_instruction(instruction, self.computations[name]))
        return total

    def _of_instruction(self, own: Instruction, around: dict[str, Instruction]) -> Counts:
        if own.kind in FREE or own.kind.endswith("-done"):
            return NOTHING
        if own.kind == "while":
            inside = [self._of(called) for called in own.called()]
            trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', own.attributes)
            return sum_of(inside).times(int(trips[1]) if trips else 1)
        if own.kind in CALLS and own.called():
            return sum_of([self._of(called) for called in own.called() if called in self.computations])
        kind = self._kind(own)
        grouped = int(kind == "convolution" and int(own.attribute("feature_group_count") or 1) > 1)
        return Counts(Counter({kind: 1}), grouped, self._operations(own, around), self._bytes(own, around))

    def _kind(self, own: Instruction) -> str:
        target = own.attribute("custom_call_target") or ""
        if "cudnn$conv" in target or own.kind == "convolution":
            return "convolution"
        if "cublas" in target or own.kind == "dot" or any(self._dots(name) for name in own.called()):
            return "product"
        return own.kind if own.kind in {"fusion", "copy"} else "other"

    def _dots(self, name: str) -> list[Instruction]:
        return [own for own in self.computations.get(name, {}).values() if own.kind == "dot"]

    def _operations(self, own: Instruction, around: dict[str, Instruction]) -> int:
        """Multiplications and additions of matrix products and convolutions; the rest is bound by bytes."""
        target = own.attribute("custom_call_target") or ""
        if "cudnn$conv" in target:
            return _convolution_operations(own, target, around)
        if own.kind == "dot":
            return _dot_operations(own, around)
        if "cublas" in target:
            found = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', own.attributes)
            axes = _numbers(found[1].replace('"', "")) if found else []
            left = around[own.operands[0]].dims
            return 2 * math.prod(own.dims) * math.prod(left[axis] for axis in axes)
        return sum(_dot_operations(dot, self.computations[name]) for name in own.called() for dot in self._dots(name))

    def _bytes(self, own: Instruction, around: dict[str, Instruction]) -> int:
        """Bytes that a kernel reads and writes, each array once, of a slice only the slice."""
        inside = self.computations.get(own.called()[0], {}) if own.kind == "fusion" and own.called() else {}
        if not inside:
            return own.size + sum(around[name].size for name in own.operands if name in around)
        parameters = {number: item for item in inside.values() if (number := _parameter(item)) is not None}
        read = sum(_read(parameters[number], inside) for number in sorted(parameters))
        updates = [item for item in inside.values() if item.kind == "dynamic-update-slice"]
        replaced = sum(item.size - inside[item.operands[1]].size for item in updates)
        return read + max(0, own.size - replaced)


def sum_of(counts: list[Counts]) -> Counts:
    """Return the counts of all."""
    total = NOTHING
    for each in counts:
        total = total.plus(each)
    return total


def _read(parameter: Instruction, inside: dict[str, Instruction]) -> int:
    users = [item for item in inside.values() if parameter.name in item.operands]
    if users and all(item.kind in PARTIAL and item.operands[0] == parameter.name for item in users):
        return min(parameter.size, sum(item.size for item in users))
    if users and all(item.kind == "dynamic-update-slice" and item.operands[0] == parameter.name for item in users):
        return 0
    return parameter.size


def _parameter(own: Instruction) -> int | None:
    return int(own.attributes) if own.kind == "parameter" else None


def _dot_operations(own: Instruction, around: dict[str, Instruction]) -> int:
    left = around[own.operands[0]].dims
    axes = _numbers((re.search(r"lhs_contracting_dims=\{([\d,]*)\}", own.attributes) or ["", ""])[1])
    return 2 * math.prod(own.dims) * math.prod(left[axis] for axis in axes)


def _convolution_operations(own: Instruction, target: str, around: dict[str, Instruction]) -> int:
    """For each output of the forward pass, a column of the kernel: so in all three directions."""
    first, second = (around[name].dims for name in own.operands[:2])
    output, kernel = {"Filter": (second, own.dims), "Input": (first, second)}.get(
        target.removeprefix("__cudnn$convBackward"), (own.dims, second)
    )
    labels = (own.attribute("dim_labels") or "").partition("_")[2].partition("->")[0]
    return 2 * math.prod(output) * math.prod(kernel) // kernel[labels.index("o")]


def _instruction(name: str, text: str) -> Instruction:
    shape, rest = _split(text) if text.startswith("(") else text.split(" ", 1)
    kind, _, rest = rest.strip().partition("(")
    inner, attributes = _split("(" + rest)
    operands = tuple(re.findall(r"%([\w.\-]+)", inner))
    return Instruction(name, shape, kind, operands, inner[1:-1] if kind == "parameter" else attributes)


def _split(text: str) -> tuple[str, str]:
    """Return the text up to the parenthesis that closes the first one, and the rest."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[: place + 1], text[place + 1 :]
    return text, ""


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.strip()]
