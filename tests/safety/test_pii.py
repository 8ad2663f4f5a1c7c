"""Personal data is found in both languages, and what only looks like it is left alone."""

import pytest

from chatwright.safety.pii import Finding, find_pii, redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("我的邮箱是zhang.san@example.com，电话13812345678吧", "我的邮箱是[EMAIL]，电话[PHONE]吧"),
        ("电话１３８１２３４５６７８", "电话[PHONE]"),
        ("Call +86 138 1234 5678 or 010-62345678.", "Call [PHONE] or [PHONE]."),
        ("客服400-820-8820转1", "客服[PHONE]转1"),
        ("Ring (415) 555-2671, +44 20 7946 0958 or 415-555-2671!", "Ring [PHONE], [PHONE] or [PHONE]!"),
        ("身份证11010519491231002X号", "身份证[ID_CARD]号"),
        ("卡号4111 1111 1111 1111完", "卡号[BANK_CARD]完"),
        ("pay to 6212345678901232 now", "pay to [BANK_CARD] now"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [IBAN]."),
        ("GB82WEST12345698765432", "[IBAN]"),
        ("服务器8.8.8.8和2001:4860:4860::8888。", "服务器[IP_ADDRESS]和[IP_ADDRESS]。"),
        ("a.b+c@mail.example.co.uk.", "[EMAIL]."),
        ("我住在北京市海淀区中关村大街27号3号楼502室，欢迎", "我住在[ADDRESS]，欢迎"),
        ("寄到上海市浦东新区张江镇祖冲之路899号2栋301室。", "寄到[ADDRESS]。"),
        ("成都市天府大道北段１７００号", "[ADDRESS]"),
        ("杭州市西湖区文三路478号华星时代广场A座12楼", "[ADDRESS]"),
        ("She lives at 1600 Pennsylvania Avenue NW, Washington, DC 20500.", "She lives at [ADDRESS]."),
        ("Visit 221B Baker Street, London NW1 6XE or P.O. Box 1234.", "Visit [ADDRESS] or [ADDRESS]."),
        ("500 N. 5th St. Apt 4B, Springfield, IL 62704", "[ADDRESS]"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "11010519491231002A 110105194912310021",  # no check digit, and a wrong one
        "110105194913310024",  # month 13
        "4111111111111112",  # fails Luhn
        "DE89370400440532013001",  # fails modulo 97
        "127.0.0.1 192.168.1.10 10.0.0.1 ::1 fe80::1 999.1.1.1 v1.2.3.4 10.0.19041.1",
        "std::vector a::b dead::beef 12:30:45",
        "2024-01-02 12:30:45, 3.14159265358979, 1,234,567,890, 1700000000",
        "ISBN 978-3-16-148410-0, order 113812345678901",
        "user@localhost, @name, a..b@",
        "第12345678号，共100000000元",
        "坐地铁3号线到人民路，再看第3章 路2号的人，走到步行街2024年",
        "In 2019 Google Drive was slow. 2020 The Supreme Court. 5 Reasons to Drive. Chapter 3 The Long Road",
        "",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text) is text


def test_findings_are_in_order_and_apart() -> None:
    text = "13812345678 a@example.com 8.8.8.8"
    assert find_pii(text) == [Finding("PHONE", 0, 11), Finding("EMAIL", 12, 25), Finding("IP_ADDRESS", 26, 33)]


def test_every_place_in_a_long_text_is_found() -> None:
    text = "联系a@example.com或13812345678，谢谢。" * 2000
    assert redact(text) == "联系[EMAIL]或[PHONE]，谢谢。" * 2000


@pytest.mark.parametrize(
    "unit", ["1", "1-", "1 ", "a.", "a@", "@", ":", "a:", "1.2.3.", "+1", "(0", "AB12 ", "路1号", "1 Aa "]
)
def test_no_text_takes_long(unit: str) -> None:
    assert isinstance(redact(unit * 200_000), str)  # minutes, were any pattern quadratic
