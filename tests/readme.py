#!/usr/bin/env python3
"""Runs what README.md shows: readme.py BUILD, or readme.py --update.

C programs are compiled and run, shell and CMake blocks are carried out against an
install of BUILD, and a block under `<!-- file: PATH -->` must be that file's text;
--update writes those anew.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
MARKED = re.compile(r"<!-- file: (\S+) -->\n+(?:```\w*\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {".c": "c", ".h": "c", ".sh": "sh", ".py": "python"}


def update(text: str) -> str:
    def block(match: re.Match) -> str:
        path = match.group(1)
        language = LANGUAGES.get(Path(path).suffix, "")
        return f"<!-- file: {path} -->\n```{language}\n{(ROOT / path).read_text()}```\n"

    return MARKED.sub(block, text)


def run(command: list[str] | str, folder: Path, env: dict[str, str]) -> str:
    result = subprocess.run(
        command, cwd=folder, env=env, text=True, capture_output=True,
        shell=isinstance(command, str), executable="/bin/bash" if isinstance(command, str) else None,
    )
    if result.returncode != 0:
        raise AssertionError(f"{command}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Check:
    def __init__(self) -> None:
        self.passed = self.failed = 0

    def __call__(self, name: str, body) -> None:
        try:
            body()
            self.passed += 1
            print(f"ok   readme/{name}")
        except (AssertionError, OSError) as fault:
            self.failed += 1
            print(f"FAIL readme/{name}: {fault}")


def check_files(text: str) -> None:
    for path, shown in MARKED.findall(text):
        assert shown == (ROOT / path).read_text(), f"{path}: run tests/readme.py --update"


def check_links(text: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (ROOT / target).exists(), f"link to {target}"


def main() -> int:
    text = README.read_text()
    if sys.argv[1:] == ["--update"]:
        README.write_text(update(text))
        return 0
    build = Path(sys.argv[1]).resolve()
    check = Check()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        prefix = work / "prefix"
        env = {**os.environ, "PREFIX": str(prefix), "CC": "cc"}
        run(["cmake", "--install", str(build), "--prefix", str(prefix)], work, env)
        library = next(prefix.rglob("libstoragedriver.so")).parent
        env["LD_LIBRARY_PATH"] = str(library)
        check("files_are_shown_as_they_are", lambda: check_files(text))
        check("links_lead_somewhere", lambda: check_links(text))

        own = FENCED.findall(MARKED.sub("", text))
        programs = [code for language, code in own if language == "c" and "int main" in code]
        assert programs, "README.md shows no program"
        for number, code in enumerate(programs, 1):
            (work / "hello.c").write_text(code)
            flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
            paths = [f"-I{prefix}/include", f"-L{library}", "-lstoragedriver"]
            compile_it = ["cc", *flags, "-o", "program", "hello.c", *paths]
            check(f"program_{number}_compiles", lambda: run(compile_it, work, env))
            check(f"program_{number}_runs", lambda: run(["./program"], work, env))
        (work / "hello.c").write_text(programs[0])

        for number, (language, code) in enumerate(own, 1):
            if language == "sh":
                check(f"block_{number}_sh", lambda: shell(code, build, work, env))
            elif language == "cmake":
                check(f"block_{number}_cmake", lambda: cmake(code, work, prefix, env))
    print(f"readme: {check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


def shell(code: str, build: Path, work: Path, env: dict[str, str]) -> None:
    """Carries a block out, except what would run all tests or build all once more."""
    lines = []
    for line in code.splitlines():
        script = re.match(r"(scripts/\S+|bench/\S+)", line)
        if script:
            assert os.access(ROOT / script.group(1), os.X_OK), f"{script.group(1)} cannot be run"
        elif line.startswith("cmake -B build"):
            lines.append(f"cmake --install {build} --prefix \"$PREFIX\"")
        else:
            lines.append(line)
    run("set -euo pipefail\n" + "\n".join(lines), work, env)


def cmake(code: str, work: Path, prefix: Path, env: dict[str, str]) -> None:
    head = "cmake_minimum_required(VERSION 3.25)\nproject(hello LANGUAGES C)\n"
    if "add_executable" not in code:
        code = code.replace("target_link_libraries", "add_executable(hello hello.c)\ntarget_link_libraries", 1)
    (work / "CMakeLists.txt").write_text(head + code)
    run(["cmake", "-B", "outside", f"-DCMAKE_PREFIX_PATH={prefix}"], work, env)
    run(["cmake", "--build", "outside"], work, env)
    run(["outside/hello"], work, env)


if __name__ == "__main__":
    sys.exit(main())
