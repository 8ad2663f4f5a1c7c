"""What the compiled functions work on: a model's numbers and weights, the cache, a batch, room for what flows.

Shape legend: N columns, i.e. tokens run in this step; C hidden width; G groups of 32.
"""

from typing import Any, NamedTuple

# Slots of the two index tables.
QKV, OUTPUT, UP, DOWN = 0, 1, 2, 3
HEAD = 0  # of the row after the last layer
(
    ATTN_NORM,
    ATTN_NORM_BIAS,
    QKV_BIAS,
    Q_NORM,
    K_NORM,
    OUTPUT_BIAS,
    ATTN_POST_NORM,
    MLP_NORM,
    MLP_NORM_BIAS,
    UP_BIAS,
    DOWN_BIAS,
    MLP_POST_NORM,
) = range(12)
NUM_VECTORS = 12
FINAL_NORM, FINAL_NORM_BIAS = ATTN_NORM, ATTN_NORM_BIAS  # of the row after the last layer
MAX_SPLITS = 16  # of a long context


class Shape(NamedTuple):
    """The model's numbers; see ``ModelConfig`` for their meaning."""

    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mlp_size: int
    vocab_size: int
    activation: int
    gated: bool
    layer_norm: bool
    rotary: bool
    eps: float
    scale: float


class Weights(NamedTuple):
    """Everything learned.

    Attributes:
        data: uint8, packed matrices.
        matrices: int64 [layers + 1, 4, 4]: bits, byte offset, rows, groups of each matrix.
        vectors: float32, norms and biases.
        vector_at: int64 [layers + 1, NUM_VECTORS]: offset in ``vectors``, or -1 where the model has none.
        window: int64 [layers]: tokens a layer looks back, itself included; a huge number for all.
        table: int64 [layers]: which rotary table the layer uses.
    """

    data: Any
    matrices: Any
    vectors: Any
    vector_at: Any
    window: Any
    table: Any


class Cache(NamedTuple):
    """Paged keys and values as bfloat16 bit patterns (uint16).

    Keys lie transposed, [layers, blocks, kv_heads, head_dim, block_size]: the scores of 16 neighbouring positions are
    then one SIMD register and need no sum across lanes. Values are [layers, blocks, kv_heads, block_size, head_dim].
    ``block_size`` is PAGE, and ``head_dim`` is padded to a multiple of 16.
    """

    keys: Any
    values: Any


class Batch(NamedTuple):
    """The columns of one step.

    Attributes:
        x: float32 [N, C], embeddings in, residual stream afterwards.
        positions: int64 [N].
        blocks: int32 [N, most blocks of any], block table of each column's sequence.
        cos, sin: float32 [tables, N, head_dim / 2].
        wanted: int64 [logit rows], the columns whose logits are asked for.
        logits: float32 [logit rows, padded vocabulary].
    """

    x: Any
    positions: Any
    blocks: Any
    cos: Any
    sin: Any
    wanted: Any
    logits: Any


class Room(NamedTuple):
    """Where batches of up to 64 columns are put, one after the other, so that the kernel always gets the same arrays.

    Attributes:
        batch: arrays of full size, of which each step reads the first columns; ``logits`` as many rows as are asked for
            in one run of the model and a batch besides.
        sizes: int64 [3]: columns, wanted ones, and the row where their logits begin.
    """

    batch: Any
    sizes: Any


class Scratch(NamedTuple):
    """Room for what flows between phases; allocated once for the largest batch.

    Attributes:
        q: int16, scale, total: float32: quantised activations, flat; viewed as [N, 32 G] and [N, G].
        wide, branch: float32, flat: results of a matrix, [N, rows]; those that are added to the stream are in branch.
        partial: float32 [N, heads, MAX_SPLITS, padded head_dim + 2]: weighted values, maximum and sum of each split.
        sync: int64, of the team.
    """

    q: Any
    scale: Any
    total: Any
    wide: Any
    branch: Any
    partial: Any
    sync: Any
