"""Personal data in text: found by its form, confirmed by its checksum where it has one.

Works between Chinese characters, which are letters to ``\\b``: every boundary here says which characters it means.
Full-width digits count as digits. Street addresses are found where they name a street and a number. Names of people
have no form: a model finds them, where one is given (:mod:`chatwright.safety.names`).
"""

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from chatwright.safety.names import NameFinder

Kind = Literal["EMAIL", "PHONE", "ID_CARD", "BANK_CARD", "IP_ADDRESS", "IBAN", "ADDRESS", "NAME"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data in a text: ``text[start:end]``, and what it is."""

    kind: Kind
    start: int
    end: int


def find_pii(text: str, names: NameFinder | None = None) -> list[Finding]:
    """Everything found, in order, without overlaps; what was recognised by a checksum goes before what was not.

    Args:
        text: in any language; forms of Chinese and English are known.
        names: finds names of people; None: they are not looked for.
    """
    narrow = text.translate(_NARROW) if _WIDE.search(text) else text
    places = {anchor: list(anchor.places(narrow)) for anchor in _ANCHORS}
    findings: list[Finding] = []
    for recogniser in _RECOGNISERS:
        new = [
            Finding(recogniser.kind, *found.span())
            for start, end in places[recogniser.anchor]
            for found in recogniser.pattern.finditer(narrow, start, end)
            if recogniser.confirm(found[0]) and _is_free(found.span(), findings)
        ]
        findings = sorted((*findings, *new), key=_start) if new else findings
    if names is not None:
        people = [Finding("NAME", *span) for span in names(text) if _is_free(span, findings)]
        findings = sorted((*findings, *people), key=_start) if people else findings
    return findings


def redact(text: str, names: NameFinder | None = None) -> str:
    """The text with ``[EMAIL]``, ``[PHONE]`` … in place of what was found; the same object where nothing was.

    Args:
        text, names: as for :func:`find_pii`.
    """
    findings = find_pii(text, names)
    if not findings:
        return text
    pieces, position = [], 0
    for finding in findings:
        pieces += [text[position : finding.start], f"[{finding.kind}]"]
        position = finding.end
    return "".join((*pieces, text[position:]))


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What every occurrence contains and little else does.

    A search for it is many times as fast as one for the form itself, whose tests of what stands before it would run at
    every character.

    Attributes:
        pattern: what it is.
        reach: how far an occurrence may go beyond it, and the character after that.
    """

    pattern: re.Pattern[str]
    reach: int

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Parts of the text, apart from each other, outside of which there is nothing to find."""
        start = end = -1
        for found in self.pattern.finditer(text):
            if found.start() - self.reach > end:
                if end >= 0:
                    yield start, end
                start = max(0, found.start() - self.reach)
            end = found.end() + self.reach
        if end >= 0:
            yield start, end


@dataclass(frozen=True, slots=True)
class _Recogniser:
    """One form of personal data, and what confirms that the form does not deceive: checksums, dates, ranges."""

    kind: Kind
    anchor: _Anchor
    pattern: re.Pattern[str]
    confirm: Callable[[str], bool]


def _start(finding: Finding) -> int:
    return finding.start


def _is_free(span: tuple[int, int], findings: list[Finding]) -> bool:
    """Whether nothing in a part of the text has been found yet; ``findings`` are in order and do not overlap."""
    after = bisect_left(findings, span[1], key=_start)
    return after == 0 or findings[after - 1].end <= span[0]


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _is_iban(text: str) -> bool:
    """ISO 13616: letters as numbers, the first four characters moved to the end, modulo 97."""
    code = text.replace(" ", "").upper()
    if not 15 <= len(code) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def _is_id_card(text: str) -> bool:
    """A Chinese identity number: province, a real date of birth and the check digit (GB 11643, ISO 7064 MOD 11-2)."""
    body, check = text[:17], text[17].upper()
    if not 11 <= int(body[:2]) <= 82:
        return False
    try:
        born = date(int(body[6:10]), int(body[10:12]), int(body[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body))
    return 1880 <= born.year <= 2100 and "10X98765432"[total % 11] == check


def _is_bank_card(text: str) -> bool:
    """A card number by its length, its scheme's first digits and its check digit (Luhn, ISO/IEC 7812-1)."""
    digits = _digits(text)
    if not 13 <= len(digits) <= 19 or not _CARD_SCHEME.match(digits) or len(set(digits)) < 2:
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _is_public_address(text: str) -> bool:
    """An address that someone may own: loopback, private and reserved ones say nothing about anyone."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_public_ipv6(text: str) -> bool:
    """Two groups alone are more often code (``b::c``) than an address."""
    return sum(map(bool, text.split(":"))) > 2 and any(map(str.isdigit, text)) and _is_public_address(text)


def _is_phone(text: str) -> bool:
    """Between 7 and 15 digits (E.164), not all alike."""
    digits = _digits(text)
    return 7 <= len(digits) <= 15 and len(set(digits)) > 1


def _is_email(text: str) -> bool:
    return ".." not in text


def _is_street_address(text: str) -> bool:
    """What begins with a year and ends in a word with other meanings is more often no address ("2019 Google Drive")."""
    number, _, name = text.partition(" ")
    is_year = len(number) == 4 and number.startswith(("19", "20"))
    return not (is_year and _AMBIGUOUS_STREET.search(name))


_WIDE = re.compile("[０-９＠＋Ｘ]")
_NARROW = str.maketrans("０１２３４５６７８９＠＋Ｘ", "0123456789@+X")  # one for one, so that places stay the same

# Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro.
_CARD_SCHEME = re.compile(r"4|5[0-8]|2[2-7]|3[0-9]|6[0-9]|9")

# Every repetition is bounded and every pattern refuses to start inside a run of its own characters: linear in the text.
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])", re.ASCII)
_ID_CARD = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])", re.ASCII)
_BANK_CARD = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?!\d|[.,-]\d)", re.ASCII)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])", re.ASCII)
_PHONE = re.compile(
    r"(?<![0-9A-Za-z.,_/#-])(?:"
    r"(?:(?:\+|00)?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # Chinese mobile
    r"|(?:(?:\+|00)86[ -]?)?(?:(?:010|02\d|0[3-9]\d\d)[ -]?|[(（]0\d{2,3}[)）] ?)[2-8]\d{6,7}"  # Chinese landline
    r"|[48]00(?:-\d{3}-?|-?\d{3}-)\d{4}|4008-\d{3}-\d{3}"  # Chinese service numbers
    r"|\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}"  # international
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}"  # North America
    r")(?![0-9A-Za-z_]|[.,-][0-9])",
    re.ASCII,
)

# English: number, capitalised words, a word for a street; then a unit, a town, a state with its code where they follow.
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Way|Parkway"
    r"|Pkwy|Highway|Hwy|Crescent|Close|Mews)"
)
_AMBIGUOUS_STREET = re.compile(r"(?:Drive|Court|Place|Square|Way|Close)\.?\Z")
_ENGLISH_ADDRESS = re.compile(
    r"(?<![\w.,$€£/-])\d{1,5}[A-Za-z]?,? (?:(?:[NSEW]|[NS][EW])\.? )?(?!The )"
    r"(?:[A-Z][A-Za-z'’-]{1,20}|\d{1,3}(?:st|nd|rd|th))"
    rf"(?: [A-Z][A-Za-z'’-]{{1,20}}){{0,3}}? {_STREET}(?![A-Za-z])\.?(?: (?:[NSEW]|[NS][EW])(?![A-Za-z]))?"
    r"(?:,? (?:(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor)\.? ?|#)[0-9A-Za-z-]{1,6}(?![0-9A-Za-z]))?"
    r"(?:, [A-Z][a-z'’-]{1,20}(?: [A-Z][a-z'’-]{1,20}){0,2}"
    r"(?:,? (?:[A-Z]{2} \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[0-9A-Z]? \d[A-Z]{2})(?!\w))?)?"
)
_POST_BOX = re.compile(r"(?<!\w)P\.? ?O\.? Box \d{1,6}(?!\w)", re.ASCII)
# Chinese: province, city, district where they precede; road and number; building, unit and room where they follow. A
# name holds none of the words that stand before an address ("我住在…", "寄到…").
_HAN = "(?:(?![我你您他她它们住在到去往是的了至寄从自])[\u4e00-\u9fff])"
_CHINESE_ADDRESS = re.compile(
    rf"(?:{_HAN}{{2,8}}?(?:省|自治区|市|自治州|地区|区|县|旗|镇|乡|街道|新村|村)){{0,6}}"
    rf"{_HAN}{{1,8}}?(?:大道|大街|路|街|巷|胡同|弄|里|村)(?:[东南西北中]?[一二三四五六七八九十]?段)?"
    r"[0-9]{1,5}(?:-[0-9]{1,4})?(?:号(?![线码])|弄)"
    rf"(?:(?:{_HAN}{{1,8}}?(?:小区|花园|大厦|公寓|广场|院|苑))?"
    r"(?:[0-9A-Za-z]{1,5}(?:-[0-9]{1,4}){0,3}(?:号楼|号院|号|栋|幢|座|单元|楼|层|室|户)){1,5})?"
)

_AT = _Anchor(re.compile("@"), reach=320)
_MANY_DIGITS = _Anchor(re.compile(r"[0-9][0-9 ().（）-]{5,}[0-9]"), reach=45)
_DOTTED = _Anchor(re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]"), reach=16)
_COLONS = _Anchor(re.compile(r":[0-9A-Fa-f]{0,4}:"), reach=45)
_NUMBER_AND_NAME = _Anchor(re.compile(r"[0-9][A-Za-z]?,? [NSEW0-9A-Z]"), reach=180)
_BOX = _Anchor(re.compile("Box [0-9]"), reach=12)
_ROAD_AND_NUMBER = _Anchor(re.compile("[道街路巷同弄里村段][0-9]"), reach=90)
_ANCHORS = (_AT, _MANY_DIGITS, _DOTTED, _COLONS, _NUMBER_AND_NAME, _BOX, _ROAD_AND_NUMBER)

_RECOGNISERS = (
    _Recogniser("EMAIL", _AT, _EMAIL, _is_email),
    _Recogniser("IBAN", _MANY_DIGITS, _IBAN, _is_iban),
    _Recogniser("ID_CARD", _MANY_DIGITS, _ID_CARD, _is_id_card),
    _Recogniser("BANK_CARD", _MANY_DIGITS, _BANK_CARD, _is_bank_card),
    _Recogniser("IP_ADDRESS", _DOTTED, _IPV4, _is_public_address),
    _Recogniser("IP_ADDRESS", _COLONS, _IPV6, _is_public_ipv6),
    _Recogniser("PHONE", _MANY_DIGITS, _PHONE, _is_phone),
    _Recogniser("ADDRESS", _NUMBER_AND_NAME, _ENGLISH_ADDRESS, _is_street_address),
    _Recogniser("ADDRESS", _BOX, _POST_BOX, bool),
    _Recogniser("ADDRESS", _ROAD_AND_NUMBER, _CHINESE_ADDRESS, bool),
)
