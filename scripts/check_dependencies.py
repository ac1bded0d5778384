#!/usr/bin/env python3
"""Checks the dependency tree against deny.toml: licences, bans, sources.

Also checks that README.md's dependency table names the direct dependencies and no
others. Needs nothing but Python and cargo, and no network once the crates are there.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def allowed(expression: str, licences: set[str]) -> bool:
    """Whether an SPDX expression can be satisfied by the allowed licences."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def either() -> bool:
        result = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            result = both() or result
        return result

    def both() -> bool:
        result = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = one() and result
        return result

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            result = either()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            with_exception = f"{token} WITH {tokens.pop(0)}"
            return with_exception in licences or token in licences
        return token in licences

    return either()


def check_tree(packages: list[dict], deny: dict) -> list[str]:
    faults = []
    licences = set(deny["licenses"]["allow"])
    exceptions = {e["crate"]: set(e["allow"]) for e in deny["licenses"].get("exceptions", [])}
    bans = deny["bans"]["deny"]
    once = {entry["crate"] for entry in bans if entry.get("deny-multiple-versions")}
    banned = {entry["crate"] for entry in bans} - once
    versions: dict[str, set[str]] = {}
    for package in packages:
        name, source = package["name"], package["source"]
        label = f"{name} {package['version']}"
        versions.setdefault(name, set()).add(package["version"])
        if name in banned:
            faults.append(f"{label}: banned")
        if source is not None and source != CRATES_IO:
            faults.append(f"{label}: from {source}")
        licence = package["license"]
        if not licence or not allowed(licence, licences | exceptions.get(name, set())):
            faults.append(f"{label}: licence {licence}")
    for name in sorted(once):
        if len(versions.get(name, ())) > 1:
            faults.append(f"{name}: {len(versions[name])} versions, {sorted(versions[name])}")
    return faults


def check_manifest(package: dict) -> list[str]:
    faults = []
    for dependency in package["dependencies"]:
        if dependency["source"] != CRATES_IO:
            faults.append(f"{dependency['name']}: from {dependency['source'] or 'a path'}")
        if dependency["req"] == "*":
            faults.append(f"{dependency['name']}: any version")
    return faults


def check_table(package: dict, readme: str) -> list[str]:
    direct = {dependency["name"] for dependency in package["dependencies"]}
    section = readme.split("\n## Dependencies\n", 1)
    if len(section) != 2:
        return ["README.md: no section Dependencies"]
    rows = re.findall(r"^\| `([^`]+)`", section[1].split("\n## ")[0], re.MULTILINE)
    faults = [f"README.md: {name} is not in the table" for name in sorted(direct - set(rows))]
    faults += [f"README.md: {name} is no dependency" for name in sorted(set(rows) - direct)]
    return faults


def self_test() -> None:
    """The checks see what they look for."""
    licences = {"MIT", "Apache-2.0"}
    assert allowed("MIT OR GPL-3.0", licences) and allowed("MIT/Apache-2.0", licences)
    assert allowed("(MIT OR GPL-3.0) AND Apache-2.0", licences)
    assert allowed("Apache-2.0 WITH LLVM-exception", licences)
    assert not allowed("GPL-3.0", licences) and not allowed("MIT AND GPL-3.0", licences)
    deny = {
        "licenses": {"allow": ["MIT"]},
        "bans": {
            "deny": [{"crate": "openssl"}, {"crate": "hyper", "deny-multiple-versions": True}]
        },
    }
    crate = {"version": "1.0.0", "source": CRATES_IO, "license": "MIT"}
    assert check_tree([{**crate, "name": "fine"}], deny) == []
    for bad in (
        [{**crate, "name": "openssl"}],
        [{**crate, "name": "a", "license": "GPL-3.0"}],
        [{**crate, "name": "a", "source": "git+https://example.org/a"}],
        [{**crate, "name": "hyper"}, {**crate, "name": "hyper", "version": "0.14.0"}],
    ):
        assert len(check_tree(bad, deny)) == 1, bad
    package = {"dependencies": [{"name": "a", "source": CRATES_IO, "req": "^1"}]}
    assert check_table(package, "\n## Dependencies\n\n| `a` | x |\n") == []
    assert len(check_table(package, "\n## Dependencies\n\n| `b` | x |\n")) == 2


def main() -> int:
    self_test()
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"]
    deny = tomllib.loads((ROOT / "deny.toml").read_text())
    for target in deny["graph"]["targets"]:
        command += ["--filter-platform", target]
    metadata = json.loads(subprocess.check_output(command, cwd=ROOT))
    own = next(p for p in metadata["packages"] if p["id"] in metadata["workspace_members"])
    faults = check_tree(metadata["packages"], deny) + check_manifest(own)
    faults += check_table(own, (ROOT / "README.md").read_text())
    for fault in faults:
        print(f"FAIL {fault}")
    print(f"{len(metadata['packages'])} packages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
