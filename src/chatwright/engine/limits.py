"""What may be asked of a runner: how long a sequence, and how much memory for keys and values."""

from chatwright.errors import InvalidParameterError
from chatwright.model.config import ModelConfig


def checked_model_len(config: ModelConfig, max_model_len: int | None) -> int:
    """The longest sequence to run: the model's context length, or less where the caller says so.

    Raises:
        InvalidParameterError: a length that no prompt and answer fit into, or beyond what the model was trained for.
    """
    limit = config.max_position_embeddings
    if max_model_len is None:
        return limit
    if not 2 <= max_model_len <= limit:
        raise InvalidParameterError(
            "max_model_len", f"max_model_len is {max_model_len}; it must be between 2 and the model's {limit}"
        )
    return max_model_len


def block_bytes(config: ModelConfig, block_size: int, element_bytes: int, *, head_multiple: int = 1) -> int:
    """Memory of one block of keys and values in all layers, in bytes.

    Args:
        config: the model.
        block_size: positions in a block.
        element_bytes: bytes of one number.
        head_multiple: heads are padded to a multiple of so many numbers.
    """
    head_size = -(-config.head_size // head_multiple) * head_multiple
    return config.num_layers * 2 * block_size * config.kv_heads * head_size * element_bytes


def remembered_in_main_memory(num_blocks: int, block_size: int, max_model_len: int) -> int:
    """How many blocks that nobody holds may keep their contents where memory becomes resident only as it is used.

    A quarter of all, and at least two sequences of full length. Otherwise every request would touch new memory until
    all is resident, which belongs to other programs too, for the sake of texts that hardly ever come again.
    """
    return min(num_blocks, max(num_blocks // 4, 2 * -(-max_model_len // block_size)))


def blocks_within(kv_memory_bytes: int, bytes_per_block: int) -> int:
    """How many blocks fit into ``kv_memory_bytes``; InvalidParameterError if none does."""
    num_blocks = kv_memory_bytes // bytes_per_block
    if num_blocks < 1:
        raise InvalidParameterError(
            "kv_memory_bytes",
            f"kv_memory_bytes is {kv_memory_bytes}; one block of this model's keys and values takes {bytes_per_block} "
            "bytes, so give more",
        )
    return num_blocks
