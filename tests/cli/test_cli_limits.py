"""`fillgate limits`: shown, proposed by one, approved or rejected by another."""

from __future__ import annotations

from pathlib import Path

from tests.cli.cli_world import call, call_json, make_home


def an_admin(home: Path, name: str) -> str:
    made = call_json(home, "token", "create", "--scopes", "admin", "--label", name)
    path = home / f"{name}.token"
    path.write_text(made["token"])
    return str(path)


def test_two_persons_change_a_limit(tmp_path: Path) -> None:
    home = make_home(tmp_path).home
    ann, bob = an_admin(home, "ann"), an_admin(home, "bob")
    before = call_json(home, "limits", "show")["limits"]["max_quantity"]
    words = ("max_quantity=123", "--reason", "smaller for now", "--token-file", ann)
    change = call_json(home, "limits", "propose", *words)["change"]
    assert change["old"] == {"max_quantity": before}
    own = call(home, "limits", "approve", change["id"], "--token-file", ann)
    assert own.exit_code == 1
    assert "another token must" in own.stderr
    done = call(home, "limits", "approve", change["id"], "--token-file", bob)
    assert f"max_quantity {before} -> 123" in done.stdout
    shown = call(home, "limits", "show").stdout
    assert "approved" in shown
    assert call_json(home, "limits", "show")["changes"][0]["step"] == "approved"


def test_a_change_can_be_rejected_and_then_not_approved(tmp_path: Path) -> None:
    home = make_home(tmp_path).home
    ann, bob = an_admin(home, "ann"), an_admin(home, "bob")
    words = ("max_quantity=123", "--reason", "smaller", "--token-file", ann)
    told = call(home, "limits", "propose", *words).stdout
    name = told.split()[1].rstrip(":")
    assert f"limits approve {name}" in told
    assert call(home, "limits", "reject", name, "--token-file", ann).exit_code == 0
    assert call(home, "limits", "approve", name, "--token-file", bob).exit_code == 1


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    home = make_home(tmp_path).home
    ann = an_admin(home, "ann")
    reason = ("--reason", "because", "--token-file")
    unknown = call(home, "limits", "propose", "no_such=1", *reason, ann)
    assert "no_such" in unknown.stderr
    gone = call(home, "limits", "propose", "max_quantity=1", *reason, str(home / "gone"))
    assert "gone" in gone.stderr
    (home / "bad.token").write_text("fg_x")
    bad = call(home, "limits", "propose", "max_quantity=1", *reason, str(home / "bad.token"))
    assert "not in force" in bad.stderr
