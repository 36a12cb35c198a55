"""Every call to Prefect's API that stands in the source is one that Prefect Cloud serves.

`tests/contract/cloud` records the calls that are made, these are all that are written.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, SyncPrefectClient

from tests.cloud.prefect_cloud_calls import served, served_call

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ("flows", "lambda_trigger", "operations", "watchdog")
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
# Calls whose method is a function's default, or its caller's.
POSTED = {"_ask", "_all", "_page"}


@cache
def server_calls() -> dict[str, list[str]]:
    """The calls of Prefect's own server, with their tags."""
    # PLC0415: takes two seconds, in each process that collects the tests.
    from prefect.server.api.server import create_api_app  # noqa: PLC0415

    return {
        f"{method.upper()} {path}": described.get("tags") or []
        for path, operations in create_api_app().openapi()["paths"].items()
        for method, described in operations.items()
    }


@cache
def like_a_path() -> re.Pattern[str]:
    """What begins as a path of the server's API, whether Cloud serves it or not."""
    resources = {call.split("/")[1] for call in server_calls()}
    return re.compile(rf"/({'|'.join(sorted(resources))})(/.*)?")


def written_path(node: ast.expr) -> str | None:
    """A path that a literal says, `{}` for what is filled in; None where it says none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    else:
        return None
    # A template of httpx names what is filled in.
    text = re.sub(r"\{\w*\}", "{}", text.partition("?")[0])
    return text if like_a_path().fullmatch(text) else None


def calls_in(tree: ast.AST) -> Iterator[tuple[int, str | None, str]]:
    """Each path that stands in some source, with its line and the method of the call that it is for."""
    methods: dict[int, str | None] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        said = [
            each.value
            for each in node.args
            if isinstance(each, ast.Constant) and each.value in METHODS
        ]
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        method = str(said[0]) if said else "POST" if name in POSTED else None
        for argument in node.args:
            methods[id(argument)] = method
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and id(node) not in inside and (path := written_path(node)):
            yield node.lineno, methods.get(id(node)), path


def not_served(source: str) -> list[str]:
    """The calls in some source that Prefect Cloud does not serve; a path without a method is any's."""
    found = []
    for line, method, path in calls_in(ast.parse(source)):
        if not calls_meant(method, path):
            found.append(f"{line}: {method or 'any'} {path}")
    return found


def calls_meant(method: str | None, path: str) -> list[str]:
    """The calls of Cloud's that a written path may be; its last place may hold a name of two parts."""
    any_of = [method] if method else sorted(METHODS)
    both = (path, f"{path}/{{}}") if path.endswith("{}") else (path,)
    return [call for one in any_of for each in both if (call := served_call(one, each))]


def sources() -> list[Path]:
    return [path for package in SYSTEM for path in (ROOT / package).rglob("*.py")]


def test_every_path_in_the_source_is_served() -> None:
    found = {str(path.relative_to(ROOT)): not_served(path.read_text()) for path in sources()}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_the_paths_are_found_at_all() -> None:
    found = {
        (path.relative_to(ROOT).parts[0], call)
        for path in sources()
        for _, method, written in calls_in(ast.parse(path.read_text()))
        for call in calls_meant(method, written)
    }
    assert found >= {
        ("flows", "POST /work_pools/filter"),
        ("flows", "POST /work_pools/{work_pool_name}/workers/filter"),
        ("lambda_trigger", "POST /deployments/{id}/create_flow_run"),
        ("lambda_trigger", "GET /deployments/name/{flow_name}/{deployment_name}"),
        ("operations", "POST /flow_runs/{id}/set_state"),
        ("operations", "GET /flow_run_states/"),
        ("watchdog", "POST /flow_runs/count"),
    }


@pytest.mark.parametrize(
    "source",
    [
        'client.request("GET", "/admin/version")',
        'client.request("GET", "/health")',
        'api.ask("GET", f"/task_run_states/?task_run_id={run}", None)',
        'api.ask("PUT", "/flow_runs/filter", None)',
        'self._ask(f"/ui/flow_runs/{run}/history", {})',
    ],
)
def test_a_call_that_cloud_lacks_is_found(source: str) -> None:
    assert not_served(source)


def client_methods() -> set[str]:
    """The methods of Prefect's client that the source calls, on anything that may be one."""
    known = {name for name, _ in inspect.getmembers(SyncPrefectClient, inspect.isfunction)}
    known |= {name for name, _ in inspect.getmembers(PrefectClient, inspect.isfunction)}
    named = {
        node.func.attr
        for path in sources()
        if "get_client" in (text := path.read_text()) or "PrefectClient" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {name for name in known & named if not name.startswith("_")} - {"request"}


def requests_of(method: str, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """What a method of Prefect's client requests, by its source and that of the methods it calls."""
    kinds = [kind for kind in (SyncPrefectClient, PrefectClient) if hasattr(kind, method)]
    tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(kinds[0], method))))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        written = [path for each in node.args if (path := written_path(each))]
        verb = ast.literal_eval(node.args[0]) if node.func.attr == "request" else node.func.attr
        if written and verb.upper() in METHODS:
            yield verb.upper(), written[0]
        elif (
            ast.unparse(node.func.value) == "self"
            and node.func.attr not in seen | {method}
            and hasattr(kinds[0], node.func.attr)
        ):
            yield from requests_of(node.func.attr, seen | {method})


def test_what_prefect_s_client_asks_for_us_is_served() -> None:
    methods = client_methods()
    assert methods >= {"read_work_pool", "read_deployment_by_name", "create_automation"}
    asked = {name: list(requests_of(name)) for name in methods}
    assert [name for name, calls in asked.items() if not calls] == []
    assert [
        f"{name}: {method} {path}"
        for name, calls in asked.items()
        for method, path in calls
        if served_call(method, path) is None
    ] == []


def test_the_table_is_the_server_s_api_without_what_cloud_lacks() -> None:
    of_the_server = server_calls()
    assert served() <= set(of_the_server)
    lacking = {
        call
        for call, tags in of_the_server.items()
        if {"Admin", "Root", "Flow Run Notification Policies"} & set(tags)
        or re.search(r" /(csrf-token|ui/|task_run_states|experimental)", call)
    }
    assert served() == set(of_the_server) - lacking
