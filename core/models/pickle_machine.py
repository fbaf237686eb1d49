"""Reads pickles as data: a stack machine that builds plain values and never imports, calls or executes anything.

Python's own unpickler is not used even with an overridden `find_class`: its memo grows to whatever index a damaged file
names (tens of gigabytes for one flipped byte), and its byte arrays are allocated before they are read.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from core.models.pickle_values import (
    Attributes,
    ByteStream,
    ForeignCodeError,
    Ignored,
    Known,
    MalformedPickleError,
)

# Enough for some 80,000 tensors; a file that asks for more is an attack on memory.
MOST_OPERATIONS = 2_000_000
LARGEST_LINE = 4096
LARGEST_TEXT = 1 << 26
LARGEST_INTEGER = 256


class _Mark:
    pass


_MARK = _Mark()
_SIMPLE_KEYS = (str, int, float, bool, bytes, type(None))


class PickleMachine:
    """One pickle at a time.

    Args:
        makers: for each (module, name) that a pickle may mention, the function of ours that takes its place.
        persistent: what a persistent id stands for.
    """

    def __init__(
        self, makers: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any] | None = None
    ) -> None:
        self._makers = makers
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._stream: ByteStream

    def load(self, stream: ByteStream) -> Any:
        """The value of the pickle that starts at the stream's position; leaves the stream right behind it.

        Raises:
            MalformedPickleError: if it is damaged or too large.
            ForeignCodeError: if it names a class or function that is not known.
        """
        self._stream = stream
        self._stack, self._memo = [], {}
        try:
            for _ in range(MOST_OPERATIONS):
                code = stream.take(1)[0]
                if code == _STOP:
                    return self._stack.pop()
                operation = _OPERATIONS.get(code)
                if operation is None:
                    raise MalformedPickleError(f"unknown operation {code:#04x}")
                operation(self)
        except (ForeignCodeError, MalformedPickleError):
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            raise MalformedPickleError(str(error)) from error
        raise MalformedPickleError("too many operations")

    # What the operations are made of

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        stack = self._stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                items = stack[index + 1 :]
                del stack[index:]
                return items
        raise MalformedPickleError("no mark")

    def _number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._stream.take(size), "little", signed=signed)

    def _sized(self, size_of_length: int) -> bytes:
        length = self._number(size_of_length)
        if length > LARGEST_TEXT:
            raise MalformedPickleError("a text that is too long")
        return self._stream.take(length)

    def _line(self) -> bytes:
        return self._stream.line(LARGEST_LINE)

    def _maker(self, module: Any, name: Any) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise MalformedPickleError("a class without a name")
        maker = self._makers.get((module, name))
        if maker is None:
            raise ForeignCodeError(module, name)
        return maker

    def _call(self, maker: Any, arguments: Any) -> Any:
        if not isinstance(maker, Known) or maker.make is None or not isinstance(arguments, tuple):
            raise MalformedPickleError("a call of something that is not callable")
        return maker.make(*arguments)

    # Operations

    def _proto(self) -> None:
        if not 0 <= self._number(1) <= 5:
            raise MalformedPickleError("an unknown protocol")

    def _frame(self) -> None:
        self._number(8)

    def _mark(self) -> None:
        self._push(_MARK)

    def _pop(self) -> None:
        self._stack.pop()

    def _pop_mark(self) -> None:
        self._since_mark()

    def _dup(self) -> None:
        self._push(self._stack[-1])

    def _none(self) -> None:
        self._push(None)

    def _true(self) -> None:
        self._push(True)

    def _false(self) -> None:
        self._push(False)

    def _int_text(self) -> None:
        text = self._line()
        self._push({b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text))

    def _long_text(self) -> None:
        self._push(int(self._line().rstrip(b"L")))

    def _float_text(self) -> None:
        self._push(float(self._line()))

    def _int4(self) -> None:
        self._push(self._number(4, signed=True))

    def _int1(self) -> None:
        self._push(self._number(1))

    def _int2(self) -> None:
        self._push(self._number(2))

    def _long(self, size_of_length: int) -> None:
        length = self._number(size_of_length)
        if length > LARGEST_INTEGER:
            raise MalformedPickleError("an integer that is too long")
        self._push(self._number(length, signed=True))

    def _long1(self) -> None:
        self._long(1)

    def _long4(self) -> None:
        self._long(4)

    def _float8(self) -> None:
        self._push(struct.unpack(">d", self._stream.take(8))[0])

    def _string_text(self) -> None:
        text = self._line()
        if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
            raise MalformedPickleError("a text without quotes")
        self._push(_old_text(text[1:-1]))

    def _string4(self) -> None:
        self._push(_old_text(self._sized(4)))

    def _string1(self) -> None:
        self._push(_old_text(self._sized(1)))

    def _unicode_text(self) -> None:
        self._push(self._line().decode("raw-unicode-escape"))

    def _unicode1(self) -> None:
        self._push(self._sized(1).decode("utf-8", "surrogatepass"))

    def _unicode4(self) -> None:
        self._push(self._sized(4).decode("utf-8", "surrogatepass"))

    def _unicode8(self) -> None:
        self._push(self._sized(8).decode("utf-8", "surrogatepass"))

    def _bytes1(self) -> None:
        self._push(self._sized(1))

    def _bytes4(self) -> None:
        self._push(self._sized(4))

    def _bytes8(self) -> None:
        self._push(self._sized(8))

    def _empty_list(self) -> None:
        self._push([])

    def _empty_tuple(self) -> None:
        self._push(())

    def _empty_dict(self) -> None:
        self._push({})

    def _empty_set(self) -> None:
        # Sets hold nothing that is looked for, and hashing nested members could take for ever.
        self._push(Ignored())

    def _list(self) -> None:
        self._push(self._since_mark())

    def _tuple(self) -> None:
        self._push(tuple(self._since_mark()))

    def _tuple_of(self, count: int) -> None:
        if len(self._stack) < count:
            raise MalformedPickleError("too few values for a tuple")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push(items)

    def _tuple1(self) -> None:
        self._tuple_of(1)

    def _tuple2(self) -> None:
        self._tuple_of(2)

    def _tuple3(self) -> None:
        self._tuple_of(3)

    def _dict(self) -> None:
        items = self._since_mark()
        self._push({})
        self._store(items)

    def _frozen_set(self) -> None:
        self._since_mark()
        self._push(Ignored())

    def _append(self) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _appends(self) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Ignored):
            raise MalformedPickleError("an item for something that is not a list")

    def _set_item(self) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        self._store([key, value])

    def _set_items(self) -> None:
        self._store(self._since_mark())

    def _store(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if len(items) % 2:
            raise MalformedPickleError("a key without a value")
        if isinstance(target, Ignored):
            return
        if not isinstance(target, dict):
            raise MalformedPickleError("an entry for something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2]):
            # Other keys (tuples in tuples in …) could take for ever to hash, and name no tensor.
            if isinstance(key, _SIMPLE_KEYS):
                target[key] = value

    def _get_text(self) -> None:
        self._push(self._memo[int(self._line())])

    def _get1(self) -> None:
        self._push(self._memo[self._number(1)])

    def _get4(self) -> None:
        self._push(self._memo[self._number(4)])

    def _put_text(self) -> None:
        self._memo[int(self._line())] = self._stack[-1]

    def _put1(self) -> None:
        self._memo[self._number(1)] = self._stack[-1]

    def _put4(self) -> None:
        self._memo[self._number(4)] = self._stack[-1]

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _global(self) -> None:
        module = self._line().decode("utf-8")
        self._push(self._maker(module, self._line().decode("utf-8")))

    def _stack_global(self) -> None:
        name = self._stack.pop()
        self._push(self._maker(self._stack.pop(), name))

    def _reduce(self) -> None:
        arguments = self._stack.pop()
        self._push(self._call(self._stack.pop(), arguments))

    def _new_object_with_names(self) -> None:
        self._stack.pop()
        self._reduce()

    def _instance(self) -> None:
        module = self._line().decode("utf-8")
        maker = self._maker(module, self._line().decode("utf-8"))
        self._push(self._call(maker, tuple(self._since_mark())))

    def _object(self) -> None:
        maker, *arguments = self._since_mark()
        self._push(self._call(maker, tuple(arguments)))

    def _build(self) -> None:
        # Attributes of other objects (an ordered dictionary's `_metadata`, a namespace's settings) are not needed.
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Attributes):
            named = state if isinstance(state, dict) else {"state": state}
            target.update({name: value for name, value in named.items() if isinstance(name, str)})
        elif isinstance(target, str | int | float | bytes | tuple | None):
            raise MalformedPickleError("attributes for a plain value")

    def _persistent_text(self) -> None:
        self._push(self._resolve(self._line().decode("utf-8")))

    def _persistent_id(self) -> None:
        self._push(self._resolve(self._stack.pop()))

    def _resolve(self, identity: Any) -> Any:
        if self._persistent is None:
            raise MalformedPickleError("an unexpected reference")
        return self._persistent(identity)


def _old_text(text: bytes) -> str:
    # Texts of Python 2 may have any encoding; names of tensors are ASCII.
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


_STOP = ord(".")
_OPERATIONS: dict[int, Callable[[PickleMachine], None]] = {
    code[0]: operation
    for code, operation in {
        b"\x80": PickleMachine._proto,
        b"\x95": PickleMachine._frame,
        b"(": PickleMachine._mark,
        b"0": PickleMachine._pop,
        b"1": PickleMachine._pop_mark,
        b"2": PickleMachine._dup,
        b"N": PickleMachine._none,
        b"\x88": PickleMachine._true,
        b"\x89": PickleMachine._false,
        b"I": PickleMachine._int_text,
        b"L": PickleMachine._long_text,
        b"F": PickleMachine._float_text,
        b"J": PickleMachine._int4,
        b"K": PickleMachine._int1,
        b"M": PickleMachine._int2,
        b"\x8a": PickleMachine._long1,
        b"\x8b": PickleMachine._long4,
        b"G": PickleMachine._float8,
        b"S": PickleMachine._string_text,
        b"T": PickleMachine._string4,
        b"U": PickleMachine._string1,
        b"V": PickleMachine._unicode_text,
        b"\x8c": PickleMachine._unicode1,
        b"X": PickleMachine._unicode4,
        b"\x8d": PickleMachine._unicode8,
        b"C": PickleMachine._bytes1,
        b"B": PickleMachine._bytes4,
        b"\x8e": PickleMachine._bytes8,
        b"\x96": PickleMachine._bytes8,
        b"]": PickleMachine._empty_list,
        b")": PickleMachine._empty_tuple,
        b"}": PickleMachine._empty_dict,
        b"\x8f": PickleMachine._empty_set,
        b"l": PickleMachine._list,
        b"t": PickleMachine._tuple,
        b"\x85": PickleMachine._tuple1,
        b"\x86": PickleMachine._tuple2,
        b"\x87": PickleMachine._tuple3,
        b"d": PickleMachine._dict,
        b"\x91": PickleMachine._frozen_set,
        b"a": PickleMachine._append,
        b"e": PickleMachine._appends,
        b"\x90": PickleMachine._appends,
        b"s": PickleMachine._set_item,
        b"u": PickleMachine._set_items,
        b"g": PickleMachine._get_text,
        b"h": PickleMachine._get1,
        b"j": PickleMachine._get4,
        b"p": PickleMachine._put_text,
        b"q": PickleMachine._put1,
        b"r": PickleMachine._put4,
        b"\x94": PickleMachine._memoize,
        b"c": PickleMachine._global,
        b"\x93": PickleMachine._stack_global,
        b"R": PickleMachine._reduce,
        b"\x81": PickleMachine._reduce,
        b"\x92": PickleMachine._new_object_with_names,
        b"i": PickleMachine._instance,
        b"o": PickleMachine._object,
        b"b": PickleMachine._build,
        b"P": PickleMachine._persistent_text,
        b"Q": PickleMachine._persistent_id,
    }.items()
}
