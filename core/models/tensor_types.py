"""Element types of stored tensors, by safetensors' words, and how each becomes a numpy array."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.models.opened import Array


@dataclass(frozen=True)
class TensorType:
    """One element type.

    Attributes:
        word: safetensors' word, such as "F32" or "BF16", and words alike for what only other formats have ("I4").
        bits: of one element; 2, 4 and 6 exist.
        stored: numpy's type of the stored bytes (little-endian), or None where numpy cannot address an element.
        decode: makes an array of a type that numpy can compute with; None where the stored type already is one.
        unpack: makes elements of the bytes that several of them share; for types below a byte, where it is known.
    """

    word: str
    bits: int
    stored: "np.dtype[np.generic] | None"
    decode: Callable[[Array], Array] | None = None
    unpack: Callable[[Array], Array] | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of one element; only for types of whole bytes."""
        return self.bits // 8

    def to_array(self, stored: Array) -> Array:
        """The stored elements as numpy can compute with them (bf16 and fp8 as float32, without loss)."""
        return stored if self.decode is None else self.decode(stored)


def _bfloat16(stored: Array) -> Array:
    # A bfloat16 is the upper half of a float32.
    wide: Array = stored.astype(np.uint32) << 16
    return wide.view(np.float32)


def _small_floats(
    exponent_bits: int, bias: int, *, infinities: bool = False, unsigned_zero: bool = False
) -> Array:
    """The 256 values of an 8-bit float format, as float32.

    Args:
        infinities: the largest exponent means infinity and NaN, as in IEEE 754 (E5M2); otherwise only the all-ones
            pattern is NaN (E4M3FN).
        unsigned_zero: the only NaN is the pattern of minus zero (the FNUZ formats).
    """
    mantissa_bits = 7 - exponent_bits
    patterns = np.arange(256)
    sign = np.where(patterns & 0x80, -1.0, 1.0)
    exponent = (patterns >> mantissa_bits) & ((1 << exponent_bits) - 1)
    mantissa = (patterns & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    normal = (1 + mantissa) * np.exp2(exponent - float(bias))
    values = sign * np.where(exponent == 0, mantissa * np.exp2(1.0 - bias), normal)
    if unsigned_zero:
        values[0x80] = np.nan
    elif infinities:
        top = exponent == (1 << exponent_bits) - 1
        values[top] = np.where(mantissa[top] == 0, sign[top] * np.inf, np.nan)
    else:
        values[(patterns & 0x7F) == 0x7F] = np.nan
    rounded: Array = values.astype(np.float32)
    return rounded


def _by_table(table: Array) -> Callable[[Array], Array]:
    def decode(stored: Array) -> Array:
        values: Array = table[stored]
        return values

    return decode


def _powers_of_two() -> Array:
    values = np.exp2(np.arange(256) - 127.0)
    values[255] = np.nan
    rounded: Array = values.astype(np.float32)
    return rounded


def _plain(word: str, code: str) -> TensorType:
    stored = np.dtype(code)
    return TensorType(word, 8 * stored.itemsize, stored)


def _eight_bit(word: str, table: Array) -> TensorType:
    return TensorType(word, 8, np.dtype(np.uint8), _by_table(table))


def _packed(word: str, bits: int, values: Array) -> TensorType:
    """A type of 2 or 4 bits whose patterns mean `values`."""

    def unpack(stored: Array) -> Array:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        patterns = (stored[:, None] >> shifts) & np.uint8((1 << bits) - 1)
        elements: Array = values[patterns.reshape(-1)]
        return elements

    return TensorType(word, bits, None, unpack=unpack)


# One sign bit, two of exponent, one of mantissa (E2M1).
_FOUR_BIT_FLOATS = np.array(
    [sign * value for sign in (1, -1) for value in (0, 0.5, 1, 1.5, 2, 3, 4, 6)], dtype=np.float32
)

TENSOR_TYPES: dict[str, TensorType] = {
    kind.word: kind
    for kind in (
        _plain("BOOL", "?"),
        _plain("U8", "u1"),
        _plain("I8", "i1"),
        _plain("U16", "<u2"),
        _plain("I16", "<i2"),
        _plain("U32", "<u4"),
        _plain("I32", "<i4"),
        _plain("U64", "<u8"),
        _plain("I64", "<i8"),
        _plain("F16", "<f2"),
        _plain("F32", "<f4"),
        _plain("F64", "<f8"),
        _plain("C64", "<c8"),
        _plain("C128", "<c16"),
        TensorType("BF16", 16, np.dtype("<u2"), _bfloat16),
        _eight_bit("F8_E4M3", _small_floats(4, 7)),
        _eight_bit("F8_E5M2", _small_floats(5, 15, infinities=True)),
        _eight_bit("F8_E4M3FNUZ", _small_floats(4, 8, unsigned_zero=True)),
        _eight_bit("F8_E5M2FNUZ", _small_floats(5, 16, unsigned_zero=True)),
        _eight_bit("F8_E8M0", _powers_of_two()),
        # Packed below a byte, the first element in the lowest bits.
        _packed("I4", 4, np.array([*range(8), *range(-8, 0)], dtype=np.int8)),
        _packed("U4", 4, np.arange(16, dtype=np.uint8)),
        _packed("I2", 2, np.array([0, 1, -2, -1], dtype=np.int8)),
        _packed("U2", 2, np.arange(4, dtype=np.uint8)),
        _packed("F4", 4, _FOUR_BIT_FLOATS),
        # Listed with its true size, but its elements are not read.
        TensorType("F6_E2M3", 6, None),
        TensorType("F6_E3M2", 6, None),
    )
}

FLOATING = frozenset(word for word in TENSOR_TYPES if word.startswith(("F", "BF")))
