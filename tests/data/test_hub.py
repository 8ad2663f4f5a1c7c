"""A hub's datasets stream; offline, what is on the machine serves; and what goes wrong is said."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from chatwright.data.rows import Labelled, Text
from chatwright.data.settings import DataSettings
from chatwright.data.sources import read_rows
from chatwright.errors import ConfigError, DownloadError, InputError


class Rows(list[dict[str, Any]]):
    """What the library returns: rows, and what their columns mean."""

    features: dict[str, Any]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The library's place is taken by a double that records how it was asked."""
    asked: list[dict[str, Any]] = []

    def load_dataset(path: str, name: str | None, **options: Any) -> Any:
        asked.append({"path": path, "name": name, **options})
        if path == "owner/gone":
            raise FileNotFoundError("Dataset 'owner/gone' doesn't exist on the Hub")
        if path == "owner/down":
            raise ConnectionError("Connection refused")
        if path == "owner/breaks":
            return ({"text": str(1 // (2 - number))} for number in range(9))
        rows = Rows([{"text": "good", "label": 1}, {"text": "bad", "label": 0}, {"text": "?", "label": -1}])
        rows.features = {"label": SimpleNamespace(int2str=lambda number: ("neg", "pos")[number])}
        return rows

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return asked


def labels(**settings: Any) -> list[str]:
    rows = read_rows(DataSettings.model_validate(settings), kinds=(Labelled,))
    return [row.label for row in rows if isinstance(row, Labelled)]


def test_a_hubs_dataset_streams_and_its_classes_have_names(calls: list[dict[str, Any]]) -> None:
    assert labels(path="owner/set", name="en", split="test", revision="v1") == ["pos", "neg", "-1"]
    expected = {"path": "owner/set", "name": "en", "split": "test", "revision": "v1", "streaming": True}
    assert calls == [expected]
    labels(path="hf:owner/set")
    assert calls[1] == {**expected, "name": None, "split": "train", "revision": None}


def test_offline_nothing_is_streamed(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    labels(path="owner/set")
    assert calls[0]["streaming"] is False
    with pytest.raises(DownloadError, match="not on this machine, and HF_HUB_OFFLINE forbids"):
        labels(path="owner/down")


@pytest.mark.usefixtures("calls")
def test_what_goes_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    with pytest.raises(InputError, match=r"owner/gone cannot be opened .* no such path here"):
        labels(path="owner/gone")
    with pytest.raises(DownloadError, match=r"cannot reach owner/down at https://mirror\.example"):
        labels(path="owner/down")
    with pytest.raises(DownloadError, match="owner/breaks broke off after row 2"):
        list(read_rows(DataSettings(path="owner/breaks"), kinds=(Text,)))
    with pytest.raises(ConfigError, match="sample_by of owner/set has no effect"):
        labels(path="owner/set", sample_by="line")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'chatwright\[hf\]'"):
        labels(path="owner/set")
