"""What an import left out, and why: counted by reason, told in the person's language."""

from collections import Counter
from typing import Final

REASONS: Final = {
    "already_imported": ("conversations that were imported before", "此前已导入的对话"),
    "deleted_meanwhile": ("conversations of an account that is gone", "账户已不存在的对话"),
    "empty_conversation": ("conversations without any text", "没有文字内容的对话"),
    "too_many_messages": ("conversations with more than 20,000 messages", "消息超过 20,000 条的对话"),
    "not_a_conversation": ("entries that are no conversation in a known form", "不是已知格式对话的条目"),
    "unreadable_file": ("files, or the rest of files, that cannot be read", "无法读取的文件或文件余下部分"),
    "cyclic_message": ("messages that are their own ancestors", "循环引用的消息"),
    "tool_message": ("calls of tools and what they returned", "工具调用及其返回内容"),
    "hidden_message": ("messages that were hidden", "隐藏的消息"),
    "system_message": ("further system messages", "多余的系统消息"),
    "empty_message": ("messages without text", "没有文字的消息"),
    "message_too_long": ("messages longer than 500,000 characters", "超过 500,000 个字符的消息"),
    "unknown_role": ("messages of an unknown role", "角色未知的消息"),
    "unsupported_content": ("messages of a kind that is not kept", "不支持保存的消息类型"),
    "media": ("images, recordings and other files in messages", "消息中的图片、录音和其他文件"),
}


class Skipped(Counter[str]):
    """How many of what were left out, by the keys of :data:`REASONS`."""

    def count(self, reason: str, number: int = 1) -> None:
        """One more of a reason."""
        assert reason in REASONS
        if number:
            self[reason] += number
