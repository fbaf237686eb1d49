"""Reads the weights of ONNX files by walking through their bytes; the graph is only asked which layers use them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from core.errors import StudioError
from core.models.onnx_tensors import read_entries, read_tensor_proto
from core.models.tensor_file import FileContents, StoredTensor, TensorFile
from core.models.torch_pickle import UnreadTensor
from core.models.wire import BYTES, VARINT, Field, MalformedWireError, WireReader
from core.models.wording import shown

# Fields of ModelProto, GraphProto, NodeProto, AttributeProto and SparseTensorProto (onnx.proto).
IR_VERSION, GRAPH, METADATA = 1, 7, 14
MODEL_FIELDS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26))
NODE, INITIALIZER, SPARSE_INITIALIZER = 1, 5, 15
INPUT, OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TENSOR = 1, 3, 5
SPARSE_VALUES = 1

# Which inputs of which operations are weights, and of what.
CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
TRANSPOSED = {"ConvTranspose": 1}
PRODUCTS = {"MatMul": (0, 1), "Gemm": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3), "MatMulNBits": (1,),
            "FusedMatMul": (0, 1), "FusedGemm": (0, 1)}  # fmt: skip
LOOK_UPS = {"Gather": 0}
# Operations through which a weight passes on its way to a layer.
PASSING = (
    "DequantizeLinear",
    "QuantizeLinear",
    "Cast",
    "Identity",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
)
LONGEST_WAY = 16
LARGEST_NAME = 4096
MANY_FIELDS_BEFORE_GRAPH = 64


@dataclass
class _Node:
    op: str
    inputs: list[str]
    outputs: list[str]
    constant: Field | None = None
    transposed: bool = False


def looks_like_onnx(file: TensorFile, head: bytes) -> bool:
    """A message whose first field is ONNX's version and in which a graph follows; also true for one that is cut off."""
    if head[:1] != bytes([IR_VERSION << 3]):
        return False
    try:
        for count, field in enumerate(WireReader(file).fields(0, file.size)):
            if field.number not in MODEL_FIELDS or count > MANY_FIELDS_BEFORE_GRAPH:
                return False
            if field.number == GRAPH:
                return field.wire == BYTES
    except MalformedWireError:
        return False
    return False


def read_onnx(file: TensorFile) -> FileContents:
    """The initialisers of an ONNX file, and constants with two axes or more, with the kinds of layers that use them.

    Raises:
        StudioError: if it is damaged or a file with its data is missing.
    """
    reader = WireReader(file)
    try:
        return _contents(file, reader)
    except MalformedWireError as error:
        _damaged(file, str(error))


def _contents(file: TensorFile, reader: WireReader) -> FileContents:
    graphs: list[Field] = []
    metadata: list[Field] = []
    for field in reader.fields(0, file.size):
        if field.end > file.size:
            raise StudioError(
                f"{file.name} is cut off: its data should reach to byte {field.end:,} and the file ends at "
                f"{file.size:,}. Download or copy it again."
            )
        if field.number == GRAPH and field.wire == BYTES:
            graphs.append(field)
        elif field.number == METADATA:
            metadata.append(field)
    if len(graphs) != 1:
        _damaged(file, "it has no graph, or several")
    tensors: dict[str, StoredTensor | UnreadTensor] = {}
    nodes: list[_Node] = []
    for field in reader.fields(graphs[0].start, graphs[0].end):
        if field.number == INITIALIZER:
            _add(file, tensors, *read_tensor_proto(file, reader, field))
        elif field.number == SPARSE_INITIALIZER and field.wire == BYTES:
            _add(file, tensors, _sparse_name(file, reader, field), UnreadTensor("sparse"))
        elif field.number == NODE and field.wire == BYTES:
            nodes.append(_node(reader, field))
    constants = _constants(file, reader, nodes)
    kinds, turned = _kinds(nodes, {**constants, **tensors})
    for name, constant in constants.items():
        if name not in tensors and (name in kinds or len(constant.shape) > 1):
            tensors[name] = constant
    found = {
        name: replace(tensor, kind=kinds.get(name)) if isinstance(tensor, StoredTensor) else tensor
        for name, tensor in tensors.items()
    }
    notes = ["Only the weights of the ONNX file were read."]
    if turned:
        notes.append(
            "Weights of matrix products are stored as inputs × outputs: their rows belong to inputs."
        )
    return FileContents(found, metadata=read_entries(reader, metadata), notes=tuple(notes), table=True)


def _add(
    file: TensorFile,
    tensors: dict[str, StoredTensor | UnreadTensor],
    name: str,
    tensor: StoredTensor | UnreadTensor,
) -> None:
    if not name or name in tensors:
        _damaged(file, f"the name “{shown(name)}” occurs twice" if name else "a tensor has no name")
    tensors[name] = tensor


def _sparse_name(file: TensorFile, reader: WireReader, field: Field) -> str:
    for part in reader.fields(field.start, field.end):
        if part.number == SPARSE_VALUES:
            return read_tensor_proto(file, reader, part)[0]
    return ""


def _node(reader: WireReader, message: Field) -> _Node:
    node = _Node("", [], [])
    attributes: list[Field] = []
    for field in reader.fields(message.start, message.end):
        if field.number == INPUT:
            node.inputs.append(reader.text_of(field, LARGEST_NAME))
        elif field.number == OUTPUT:
            node.outputs.append(reader.text_of(field, LARGEST_NAME))
        elif field.number == OP_TYPE:
            node.op = reader.text_of(field, LARGEST_NAME)
        elif field.number == ATTRIBUTE and field.wire == BYTES:
            attributes.append(field)
    if node.op == "Constant" or node.op in PRODUCTS:
        for attribute in attributes:
            _take_attribute(reader, attribute, node)
    return node


def _take_attribute(reader: WireReader, message: Field, node: _Node) -> None:
    name, number, tensor = "", 0, None
    for field in reader.fields(message.start, message.end):
        if field.number == ATTRIBUTE_NAME:
            name = reader.text_of(field, LARGEST_NAME)
        elif field.number == ATTRIBUTE_INT and field.wire == VARINT:
            number = field.value
        elif field.number == ATTRIBUTE_TENSOR and field.wire == BYTES:
            tensor = field
    if name == "value":
        node.constant = tensor
    elif name == "transB":
        node.transposed = number != 0


def _constants(file: TensorFile, reader: WireReader, nodes: list[_Node]) -> dict[str, StoredTensor]:
    """The tensors of the nodes that do nothing but hold one, by the name of their output."""
    found: dict[str, StoredTensor] = {}
    for node in nodes:
        if node.op == "Constant" and node.constant is not None and node.outputs:
            _, tensor = read_tensor_proto(file, reader, node.constant)
            if isinstance(tensor, StoredTensor):
                found[node.outputs[0]] = tensor
    return found


def _kinds(
    nodes: list[_Node], tensors: Mapping[str, StoredTensor | UnreadTensor]
) -> tuple[dict[str, str], bool]:
    """The kind of layer that each weight belongs to, and whether some weights are stored inputs first."""
    origins = {
        node.outputs[0]: node.inputs[0]
        for node in nodes
        if node.op in PASSING and node.outputs and node.inputs
    }
    turned_over = {node.outputs[0] for node in nodes if node.op == "Transpose" and node.outputs}
    kinds: dict[str, str] = {}
    turned = False

    def origin(name: str) -> str:
        for _ in range(LONGEST_WAY):
            if name in tensors or name not in origins:
                break
            name = origins[name]
        return name

    for node in nodes:
        for place in _weight_inputs(node.op):
            if place >= len(node.inputs):
                continue
            name = origin(node.inputs[place])
            tensor = tensors.get(name)
            if not isinstance(tensor, StoredTensor) or name in kinds or len(tensor.shape) < 2:
                continue
            kind = _kind(node.op, len(tensor.shape))
            if kind is None or (kind == "embedding" and tensor.dtype in ("I64", "I32")):
                continue
            kinds[name] = kind
            if (
                node.op in PRODUCTS
                and place
                and not node.transposed
                and node.inputs[place] not in turned_over
            ):
                turned = turned or node.op != "MatMulNBits"
    return kinds, turned


def _weight_inputs(op: str) -> tuple[int, ...]:
    if op in PRODUCTS:
        return PRODUCTS[op]
    place = CONVOLUTIONS.get(op, TRANSPOSED.get(op, LOOK_UPS.get(op)))
    return () if place is None else (place,)


def _kind(op: str, rank: int) -> str | None:
    if op in PRODUCTS:
        return "linear"
    if op in LOOK_UPS:
        return "embedding" if rank == 2 else None
    if not 3 <= rank <= 5:
        return None
    return f"{'conv_transpose' if op in TRANSPOSED else 'conv'}{rank - 2}d"


def _damaged(file: TensorFile, what: str) -> NoReturn:
    raise StudioError(f"{file.name} is a damaged ONNX file ({what}): download or copy it again.")
