"""``chatwright admin``: accounts and keys from the command line, with and without a running server."""

import json
from pathlib import Path

import httpx
import pytest

from tests.conftest import Run
from tests.server.conftest import MakeSettings, live

PASSWORD = "correct horse battery"


def test_accounts_and_keys_while_the_server_runs(run: Run, make_settings: MakeSettings) -> None:
    settings = make_settings(sign_up="closed")
    home = ("--home", str(settings.home))
    with live(settings) as address, httpx.Client(base_url=address) as http:
        made = run("admin", "create-user", "ann", "--admin", "--password-stdin", *home, input=f"{PASSWORD}\n")
        assert made.exit_code == 0, made.stderr
        stranger = http.post("/api/sign-up", json={"name": "eve", "password": PASSWORD})
        assert stranger.json()["error"]["code"] == "sign_up_closed"  # the first account is there
        me = http.post("/api/sign-in", json={"name": "ann", "password": PASSWORD}).json()
        assert (me["id"], me["role"]) == (made.stdout.strip(), "admin")
        run("admin", "create-user", "bob", "--password-stdin", *home, input=PASSWORD)
        key = run("admin", "create-key", "bob", "--scope", "conversations", *home).stdout.strip()
        program = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{address}/api/me", headers=program).json()["name"] == "bob"
        assert run("admin", "disable", "bob", *home).exit_code == 0
        assert httpx.get(f"{address}/api/me", headers=program).status_code == 401
        run("admin", "enable", "bob", *home)
        assert httpx.get(f"{address}/api/me", headers=program).status_code == 200
        run("admin", "reset-password", "ann", "--password-stdin", *home, input="another long one")
        assert http.get("/api/me").json()["error"]["code"] == "session_ended"
        assert run("admin", "delete-user", "bob", "--yes", *home).exit_code == 0
        listed = json.loads(run("admin", "list-users", "--json", *home).stdout)
        assert [(user["name"], user["role"]) for user in listed] == [("ann", "admin")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create-user", "ann", "--password-stdin"), "taken"),
        (("create-user", "bob", "--password-stdin"), "at least 8"),
        (("create-user", "bob"), "--password-stdin"),
        (("create-key", "nobody"), "no user 'nobody'"),
        (("create-key", "ann", "--scope", "admin"), "administrator"),
        (("set-role", "nobody", "admin"), "no user 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run: Run, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    home = ("--home", str(tmp_path))
    assert run("admin", "create-user", "ann", "--password-stdin", *home, input=PASSWORD).exit_code == 0
    given = "short" if told == "at least 8" else PASSWORD
    refused = run("admin", *arguments, *home, input=given)
    assert refused.exit_code != 0
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_last_administrator_stays(run: Run, tmp_path: Path) -> None:
    home = ("--home", str(tmp_path))
    run("admin", "create-user", "ann", "--admin", "--password-stdin", *home, input=PASSWORD)
    for command in (("set-role", "ann", "user"), ("disable", "ann"), ("delete-user", "ann", "--yes")):
        refused = run("admin", *command, *home)
        assert (refused.exit_code, "last administrator" in refused.stderr) == (1, True)
    run("admin", "create-user", "bob", "--password-stdin", *home, input=PASSWORD)
    assert run("admin", "set-role", "bob", "admin", *home).exit_code == 0
    assert run("admin", "set-role", "ann", "user", *home).exit_code == 0
