"""Contenders are named in one way, and each that cannot run says why."""

from pathlib import Path

import pytest

from adapters.jax import Jax
from harness.errors import Wrong
from harness.install import environments
from harness.plan import inventory
from harness.plan.inventory import Contender, contenders, parse, parse_list
from tests.conftest import ADAPTER, Put


@pytest.fixture
def fakes(put_adapter: Put) -> None:
    for name in ("torch_like", "jax_like"):
        put_adapter(name)


@pytest.mark.parametrize("name", ["torch_like", "torch_like:fast", "jax_like#2", "jax_like:fast#3"])
def test_a_name_is_read_and_written_alike(fakes: None, name: str) -> None:
    assert parse(name).name == name


def test_a_name_has_four_parts(fakes: None) -> None:
    assert parse("torch_like@2.12:fast#2") == Contender("torch_like", "2.12", "fast", 2)


def test_the_first_copy_is_not_numbered(fakes: None) -> None:
    assert parse("torch_like#1").name == "torch_like"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("torch_lik", r"did you mean 'torch_like'\?; there are: jax_like, torch_like"),
        ("torch_like:fats", r"did you mean 'fast'\?; there are: torch_like, torch_like:fast"),
        ("torch_like:", "expected ADAPTER"),
        ("torch_like#0", "expected ADAPTER"),
        ("", "expected ADAPTER"),
        ("../torch_like", "expected ADAPTER"),
    ],
)
def test_a_wrong_name_is_refused_with_what_there_is(fakes: None, name: str, advice: str) -> None:
    with pytest.raises(Wrong, match=advice):
        parse(name)


def test_a_release_of_what_has_none_is_refused() -> None:
    with pytest.raises(Wrong, match="c has no releases to choose from"):
        parse("c@1")


def test_a_variant_may_take_part_unasked_on_one_kind_of_device(put_adapter: Put) -> None:
    """Such as a layout that is slow on a CPU, and a contender on a GPU."""
    said = 'Variant("faster", {}, joins=("cuda",))'
    put_adapter("choosy", ADAPTER.replace('Variant("faster", {})', said))
    for device, expected in (("cpu", True), ("cuda", False), ("cuda:1", False)):
        [row] = [r for r in contenders(device) if r["name"] == "choosy:fast"]
        assert row["named_only"] is expected


def test_what_computes_nothing_wants_to_be_named(put_adapter: Put) -> None:
    """A plain `bakeoff run` leaves it out: `bakeoff list` says so."""
    put_adapter("idle", ADAPTER.replace("variants =", "computes = False\n    variants ="))
    put_adapter("able")
    rows = {row["name"]: row["named_only"] for row in contenders("cpu")}
    assert rows["idle"] and rows["idle:fast"] and not rows["able"]


def test_another_version_is_looked_up_in_an_environment_of_its_own(fakes: None) -> None:
    rows = contenders("cpu", named=[parse("torch_like@2.12:fast")])
    [row] = [r for r in rows if r["name"] == "torch_like@2.12:fast"]
    assert (row["home"], row["available"]) == ("torch_like@2.12", False)
    assert row["reason"] == "not installed: run `bakeoff setup torch_like@2.12`"
    assert {r["home"] for r in rows} == {"jax_like", "torch_like", "torch_like@2.12"}
    with pytest.raises(Wrong, match="this Python has one version of each"):
        contenders("cpu", current=True, named=[parse("torch_like@2.12")])


def test_a_broken_adapter_cannot_be_named(fakes: None, put_adapter: Put) -> None:
    put_adapter("broken", "def")
    with pytest.raises(Wrong, match=r"adapters/broken.py is broken: SyntaxError"):
        parse("broken")


def test_the_same_name_twice_is_the_same_contender_twice(fakes: None) -> None:
    names = [c.name for c in parse_list("torch_like, torch_like,jax_like,torch_like")]
    assert names == ["torch_like", "torch_like#2", "jax_like", "torch_like#3"]


def test_a_copy_is_no_contender_without_what_it_is_a_copy_of(fakes: None) -> None:
    """Its version and its cold start are those of the first."""
    names = [c.name for c in parse_list("torch_like#2,torch_like")]
    assert names == ["torch_like#2", "torch_like"]
    with pytest.raises(Wrong, match="#2 is another torch_like; name that too"):
        parse_list("torch_like#2,jax_like")


def test_no_name_is_no_contender(fakes: None) -> None:
    with pytest.raises(Wrong, match="no contender"):
        parse_list(" , ")


def test_each_contender_is_listed_and_a_broken_file_hides_no_other(
    project: Path, put_adapter: Put
) -> None:
    put_adapter("broken", "1 / 0")
    put_adapter("fine")
    put_adapter("lacking", ADAPTER.replace('("tiny",)', '()\n    requires = ("no_such_module",)'))
    rows = {row["name"]: row for row in inventory.contenders("cpu", current=True)}

    assert list(rows) == ["broken", "fine", "fine:fast", "lacking", "lacking:fast"]
    assert rows["fine"]["available"] and rows["fine"]["reason"] is None
    assert rows["fine:fast"]["summary"] == "faster"
    assert "ZeroDivisionError" in rows["broken"]["reason"]
    assert "no_such_module" in rows["lacking"]["reason"]
    assert not rows["broken"]["available"] and not rows["lacking"]["available"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise SystemExit(5)", "its file exits with 5"),
        (ADAPTER.replace("variants = {", "variants = {} or {'': 'im2col'} or {"), "'im2col'"),
        (
            ADAPTER.replace('{"": Variant("as it is", {}), ', "{"),
            "expected a dict of Variant, that",
        ),
        (ADAPTER.replace('("tiny",)', '"tiny"'), "distributions is 'tiny': expected a tuple"),
        ("A = 1", "odd.py is broken: TypeError: it holds no subclass of Adapter: `bakeoff new-"),
    ],
)
def test_a_table_that_others_would_stumble_over_is_told_once_and_hides_no_other(
    put_adapter: Put, text: str, told: str
) -> None:
    put_adapter("odd", text)
    put_adapter("fine")
    rows = {row["name"]: row for row in inventory.contenders("cpu", current=True)}
    assert told in rows["odd"]["reason"]
    assert rows["fine"]["available"]
    with pytest.raises(Wrong, match=r"adapters/odd\.py is broken"):
        parse("odd")


def test_what_is_not_installed_says_how_to_install_it(put_adapter: Put) -> None:
    put_adapter("fake")
    reasons = {row["reason"] for row in inventory.contenders("cpu")}
    assert reasons == {"not installed: run `bakeoff setup fake`"}


def test_a_failed_install_says_what_failed(put_adapter: Put, project: Path) -> None:
    put_adapter("fake")
    (project / ".envs").mkdir()
    (project / ".envs" / "fake-cpu.failed").write_text("ERROR: no wheel for this machine\ntail")
    row = inventory.contenders("cpu")[0]
    why, _, advice = row["reason"].partition("; ")
    assert why == "could not be installed: ERROR: no wheel for this machine"
    assert advice == "run `bakeoff setup fake` to try once more"


def test_an_environment_that_does_not_start_is_said_to_be_broken(
    put_adapter: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_adapter("fake")
    folder = environments.ROOT / ".envs" / "fake-cpu"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/bin/false")
    python = [folder / "bin" / "python"]
    monkeypatch.setattr(environments, "python_of", lambda *_, **__: python[0])
    told = f"its environment is broken: remove {folder}, and call `bakeoff setup` again"
    assert inventory.contenders("cpu")[0]["reason"] == told
    python[0] = Path("/bin/false")  # a Python of the user's own is theirs
    assert inventory.contenders("cpu")[0]["reason"] == "this Python does not answer"


def test_a_jax_without_a_library_says_in_words_which_and_how_a_program_leaves_it() -> None:
    summary = Jax.variants["no-ynn"].summary
    assert "YNNPACK, the library of kernels that XLA calls on a CPU" in summary
    assert all(f"'{name}': ''" in summary for name in Jax.variants["no-ynn"].options["compiler"])
    assert "jax.jit(f, compiler_options=" in summary


def test_who_is_not_named_is_not_asked_where_a_run_names_its_contenders(put_adapter: Put) -> None:
    for name in ("fake", "other"):
        put_adapter(name)
    rows = contenders("cpu", current=True, named=[parse("fake:fast")], everyone=False)
    assert {row["adapter"] for row in rows} == {"fake"}


@pytest.mark.parametrize("version, there", [("0.7.2", False), ("0.8.0", True), ("0.11.0rc1", True)])
def test_a_jax_whose_compiler_cannot_leave_ynn_says_so(
    version: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Jax, "requires", ())
    monkeypatch.setattr(Jax, "version", lambda: version)
    reason = Jax.missing("no-ynn")
    assert (reason is None) == there and Jax.missing("") is None
    assert there or version in str(reason)
