# SPDX-License-Identifier: Apache-2.0
"""Nodes of whose inputs only the constants may become codes: recurrent ones and embeddings."""
import numpy as np
from onnx import TensorProto

from .build import zoo

FLOAT_RESULT = "MatMulIntegerToFloat"
LSTM = "DynamicQuantizeLSTM"
ORT = ["--target", "ort-x86"]
STEPS, BATCH = 6, 2


def sequence(net, width=64):
    return net.input("x", ["T", BATCH, width], sample_shape=[STEPS, BATCH, width])


def recurrent(net, op, x, inputs, hidden, *others, gates=4, directions=1, bias=True, **attributes):
    """A recurrent node with random weights; `others` are the inputs behind the bias."""
    w = net.weight(net.normal(directions, gates * hidden, inputs, fan_in=inputs))
    r = net.weight(net.normal(directions, gates * hidden, hidden, fan_in=hidden))
    b = net.weight(0.1 * net.normal(directions, 2 * gates * hidden)) if bias else ""
    attributes.setdefault("outputs", 1)
    if directions == 2:
        attributes["direction"] = "bidirectional"
    return net.node(op, x, w, r, b, *others, hidden_size=hidden, name=op.lower(), **attributes)


def finish(net, y, width):
    return net.output(net.linear(net.node("Squeeze", y, net.ints(1)), 8, width))


# ---- recurrent ----

@zoo()
def lstm_for_onnx_runtime(net):
    finish(net, recurrent(net, "LSTM", sequence(net), 64, 64), 64).expect({LSTM: 1, FLOAT_RESULT: 1}, options=ORT)


@zoo()
def lstm_for_onnx_runtime_as_operators(net):
    """The other format that is made for it."""
    _, last = recurrent(net, "LSTM", sequence(net), 64, 64, outputs=2, channels=64)
    net.output(net.gemm(net.node("Squeeze", last, net.ints(0)), 8)).expect({LSTM: 1, "QGemm": 1}, options=ORT + ["--format", "qoperator"])


@zoo()
def lstm_with_one_scale(net):
    finish(net, recurrent(net, "LSTM", sequence(net), 64, 64), 64).expect({LSTM: 1, FLOAT_RESULT: 1}, options=ORT + ["-o", "per-channel=off"])


@zoo(opset=14)
def lstm_with_everything(net):
    """Both directions, lengths, initial states, peepholes, all three outputs, a layout that is said to be the default."""
    lengths = net.input("lengths", [BATCH], lambda rng: rng.integers(1, STEPS + 1, BATCH).astype(np.int32), TensorProto.INT32)
    h = net.input("h", [2, BATCH, 64])
    c = net.input("c", [2, BATCH, 64])
    peepholes = net.weight(0.2 * net.normal(2, 3 * 64))
    made = recurrent(net, "LSTM", sequence(net), 64, 64, lengths, h, c, peepholes, directions=2, outputs=3, layout=0, clip=3.0)
    net.output(*made).expect({LSTM: 1}, options=ORT)


@zoo()
def lstm_of_which_only_the_last_state_is_used(net):
    """No bias, and no first output."""
    _, last = recurrent(net, "LSTM", sequence(net), 64, 64, bias=False, out=["", "last"], channels=64)
    net.output(net.gemm(net.node("Squeeze", last, net.ints(0)), 8)).expect({LSTM: 1, "QGemm": 1}, options=ORT)


@zoo()
def lstm_behind_a_quantized_layer(net):
    """It reads what an integer convolution made, dequantized."""
    x = net.node("Relu", net.conv(net.input("x", [BATCH, 8, STEPS]), 64, kernel=(3,)))
    y = recurrent(net, "LSTM", net.node("Transpose", x, perm=[2, 0, 1]), 64, 64)
    finish(net, y, 64).expect({"QLinearConv": 1, LSTM: 1, FLOAT_RESULT: 1}, options=ORT)


@zoo()
def lstm_behind_a_quantized_layer_stays_portable(net):
    x = net.node("Relu", net.conv(net.input("x", [BATCH, 8, STEPS]), 64, kernel=(3,)))
    y = recurrent(net, "LSTM", net.node("Transpose", x, perm=[2, 0, 1]), 64, 64)
    finish(net, y, 64).expect({"QLinearConv": 1, FLOAT_RESULT: 1}, float_nodes={"lstm": "not_portable"})


@zoo()
def lstm_too_small_to_gain(net):
    finish(net, recurrent(net, "LSTM", sequence(net, 16), 16, 16), 16).expect({FLOAT_RESULT: 1}, options=ORT, float_nodes={"lstm": "slower_on_target"})


@zoo()
def lstm_with_coupled_gates(net):
    finish(net, recurrent(net, "LSTM", sequence(net), 64, 64, input_forget=1), 64).expect({LSTM: 1, FLOAT_RESULT: 1}, options=ORT)


@zoo()
def lstm_with_computed_weights(net):
    x = sequence(net)
    w = net.node("Mul", net.weight(net.normal(1, 256, 64, fan_in=64)), net.node("ReduceMax", net.node("Abs", x), keepdims=0))
    y = net.node("LSTM", x, w, net.weight(net.normal(1, 256, 64, fan_in=64)), hidden_size=64, name="lstm")
    finish(net, y, 64).expect({FLOAT_RESULT: 1}, options=ORT, float_nodes={"lstm": "weight_not_constant"})


@zoo()
def gru_stays_float(net):
    y = recurrent(net, "GRU", sequence(net), 64, 64, gates=3, linear_before_reset=1)
    finish(net, y, 64).expect({FLOAT_RESULT: 1}, options=ORT, float_nodes={"gru": "recurrent"})


@zoo()
def rnn_stays_float(net):
    finish(net, recurrent(net, "RNN", sequence(net), 64, 64, gates=1), 64).expect({FLOAT_RESULT: 1}, float_nodes={"rnn": "recurrent"})


# ---- embeddings ----

def tokens(net, rows, shape=(2, 6)):
    return net.input("tokens", ["N", "T"][:len(shape)], lambda rng: rng.integers(0, rows, shape), TensorProto.INT64)


def table(net, rows=50, columns=32):
    """Columns of which some are much larger than others."""
    return net.weight(net.normal(rows, columns) * np.exp(net.normal(columns)), "table")


CODES = ["-o", "embeddings=int8"]


@zoo()
def embedding_is_kept(net):
    x = net.node("Gather", table(net), tokens(net, 50), name="embed", channels=32)
    net.output(net.linear(net.node("Tanh", x), 8, 32)).expect({FLOAT_RESULT: 1}, float_nodes={"embed": "embedding"})


@zoo()
def embedding_as_codes(net):
    x = net.node("Gather", table(net), tokens(net, 50), name="embed", channels=32)
    net.output(net.linear(net.node("Tanh", x), 8, 32)).expect({FLOAT_RESULT: 1}, options=CODES)


@zoo()
def embedding_as_codes_with_one_scale(net):
    x = net.node("Gather", table(net), tokens(net, 50), name="embed", channels=32)
    net.output(net.linear(net.node("Tanh", x), 8, 32)).expect({FLOAT_RESULT: 1}, db=20, options=CODES + ["-o", "per-channel=off"])


@zoo()
def embedding_read_by_a_layer(net):
    """What the table gives is quantized as well."""
    x = net.node("Gather", table(net), tokens(net, 50), name="embed", axis=-2, channels=32)
    net.output(net.linear(x, 8, 32)).expect({FLOAT_RESULT: 1}, options=CODES)


@zoo()
def embedding_in_blocks(net):
    """One table, read twice, of which a row is no whole number of blocks."""
    one = table(net, columns=50)
    x = net.node("Gather", one, tokens(net, 50), name="embed", channels=50)
    y = net.node("Gather", one, net.input("others", ["N", "T"], lambda rng: rng.integers(0, 50, (2, 6)), TensorProto.INT64), name="embed_too", channels=50)
    net.output(net.linear(net.node("Tanh", net.node("Mul", x, y)), 8, 50)).expect({FLOAT_RESULT: 1}, db=18, options=["--target", "ort-x86", "-o", "embeddings=int8-blocks"])


@zoo()
def embedding_in_blocks_for_any_target(net):
    x = net.node("Gather", table(net), tokens(net, 50), name="embed", channels=32)
    net.output(net.linear(net.node("Tanh", x), 8, 32)).expect({FLOAT_RESULT: 1}, float_nodes={"embed": "not_portable"}, options=["-o", "embeddings=int4-blocks"])


@zoo()
def embedding_that_is_an_output(net):
    net.output(net.node("Gather", table(net), tokens(net, 50), name="embed", channels=32)).expect({}, options=CODES, db=35)


@zoo()
def embedding_by_one_index(net):
    """A row: its columns are the only axis."""
    x = net.node("Gather", table(net), net.input("token", [], lambda rng: rng.integers(0, 50), TensorProto.INT64), name="embed", channels=32)
    net.output(net.node("Tanh", x)).expect({}, options=CODES)


@zoo()
def embeddings_of_two_inputs(net):
    """One table, read twice."""
    one = table(net)
    x = net.node("Gather", one, tokens(net, 50), name="embed", channels=32)
    y = net.node("Gather", one, net.input("others", ["N", "T"], lambda rng: rng.integers(0, 50, (2, 6)), TensorProto.INT64), name="embed_too", channels=32)
    net.output(net.linear(net.node("Tanh", net.node("Add", x, y)), 8, 32)).expect({FLOAT_RESULT: 1}, options=CODES)


@zoo()
def embedding_as_codes_tied_to_the_output(net):
    """The last layer has codes of its own: its channels are the rows."""
    x = net.node("Gather", net.weight(net.normal(50, 32), "table"), tokens(net, 50), name="embed", channels=32)
    x = net.node("Tanh", net.linear(x, 32, 32))
    net.output(net.node("MatMul", x, net.node("Transpose", "table", perm=[1, 0]), name="tied")).expect({FLOAT_RESULT: 2}, db=24, options=CODES)


@zoo()
def embedding_as_codes_tied_by_gemm(net):
    x = net.node("Gather", table(net), tokens(net, 50, (6,)), channels=32)
    x = net.node("Tanh", net.gemm(x, 32))
    net.output(net.node("Gemm", x, "table", transB=1)).expect({"QGemm": 2}, db=24, options=CODES)


@zoo()
def embedding_too_short_to_gain(net):
    """Scales and zero points would be as large as what is saved."""
    x = net.node("Gather", table(net, 4), tokens(net, 4), name="embed", channels=32)
    net.output(net.linear(net.node("Tanh", x), 8, 32)).expect({FLOAT_RESULT: 1}, options=CODES, float_nodes={"embed": "slower_on_target"})


@zoo()
def columns_are_picked(net):
    """A Gather from a constant that is no embedding."""
    x = net.node("Gather", net.weight(net.normal(32, 50)), tokens(net, 50, (6,)), axis=1, name="pick", channels=32)
    net.output(net.gemm(net.node("Tanh", net.node("Transpose", x, perm=[1, 0])), 8)).expect({"QGemm": 1}, options=CODES, float_nodes={"pick": "slower_on_target"})
