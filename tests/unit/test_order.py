"""Nothing that goes out depends on the order of a set: it differs from one run to the next.

Held over the source: what is known to be a set is never walked through, unless the order is lost
again at once. Whole numbers are let be, for their order in a set is the same in every run. And held
by a run that is repeated under other hashes of strings.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("config", "gateway", "providers")
SETS = {"set", "frozenset", "Set", "AbstractSet"}
MAKERS = {"set", "frozenset"}
#: the order of what these are given does not matter to what they return
ORDERLESS = {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum", "wait"}
WALKERS = {
    "dict",
    "enumerate",
    "extend",
    "fromkeys",
    "gather",
    "iter",
    "join",
    "list",
    "map",
    "tuple",
}


def _called(node: ast.expr) -> str:
    """The last part of the name of what is called."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
        case _:
            return ""


def _is_set_type(annotation: ast.expr | None) -> bool:
    """Whether a type is a set of anything but whole numbers."""
    match annotation:
        case ast.Subscript(value=ast.Name(id=name), slice=of):
            return name in SETS and ast.unparse(of) != "int"
        case ast.Name(id=name):
            return name in SETS
        case _:
            return False


def _is_made_set(value: ast.expr | None) -> bool:
    match value:
        case ast.Set() | ast.SetComp():
            return True
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub()):
            return _is_made_set(left) or _is_made_set(right)
        case ast.Call():
            return _called(value) in MAKERS
        case _:
            return False


def _names_of_sets(tree: ast.AST) -> tuple[set[str], set[str]]:
    """The variables, and the members and functions, that are known to be sets."""
    variables: set[str] = set()
    members: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=target, annotation=annotation) if _is_set_type(annotation):
                _name(target, variables, members)
            case ast.Assign(targets=[target], value=value) if _is_made_set(value):
                _name(target, variables, members)
            case ast.arg(arg=name, annotation=annotation) if _is_set_type(annotation):
                variables.add(name)
            case ast.FunctionDef(name=name, returns=returns) if _is_set_type(returns):
                members.add(name)
            case ast.AsyncFunctionDef(name=name, returns=returns) if _is_set_type(returns):
                members.add(name)
            case _:
                pass
    return variables, members


def _name(target: ast.expr, variables: set[str], members: set[str]) -> None:
    match target:
        case ast.Name(id=name):
            variables.add(name)
        case ast.Attribute(attr=name):
            members.add(name)
        case _:
            pass


def walks_over_sets(source: str) -> Iterator[tuple[int, str]]:
    """Where the source goes through a set one by one, in the set's own order."""
    tree = ast.parse(source)
    variables, members = _names_of_sets(tree)

    def is_set(node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return name in variables
            case ast.Attribute(attr=name):
                return name in members
            case ast.Call() if _called(node) in members:
                return True
            case _:
                return _is_made_set(node)

    free = {
        id(inside)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _called(call) in ORDERLESS
        for argument in call.args
        for inside in (argument, *_sources(argument))
    }
    for node in ast.walk(tree):
        for walked in _walked(node):
            if id(walked) not in free and is_set(walked):
                yield walked.lineno, ast.unparse(walked)


def _sources(argument: ast.expr) -> list[ast.expr]:
    """What a comprehension that is an argument goes through."""
    if isinstance(argument, ast.GeneratorExp | ast.ListComp):
        return [part.iter for part in argument.generators]
    return []


def _walked(node: ast.AST) -> list[ast.expr]:
    """What a piece of the program goes through in order."""
    match node:
        case ast.For(iter=walked) | ast.AsyncFor(iter=walked) | ast.Starred(value=walked):
            return [walked]
        case ast.ListComp(generators=parts) | ast.GeneratorExp(generators=parts):
            return [part.iter for part in parts]
        case ast.DictComp(generators=parts):
            return [part.iter for part in parts]
        case ast.Call(args=arguments) if _called(node) in WALKERS:
            return list(arguments)
        case ast.Call(func=ast.Attribute(value=walked, attr="pop"), args=[]):
            return [walked]
        case _:
            return []


def test_nothing_walks_through_a_set_in_the_order_of_the_set() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text}"
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*.py"))
        for line, text in walks_over_sets(file.read_text())
    ]
    assert found == []


def test_the_rule_knows_a_set_when_it_sees_one() -> None:
    source = """
names: set[str] = set()
for name in names: print(name)
text = ", ".join({one for one in names})
first = names.pop()
class Pool:
    def __init__(self): self._ending: set[Wire] = set()
    def close(self): return [*self._ending], [one for one in self._ending]
def found() -> frozenset[str]: ...
listed = list(found())
"""
    assert sorted(line for line, _ in walks_over_sets(source)) == [3, 4, 5, 8, 8, 10]


def test_the_rule_lets_be_what_loses_the_order_again() -> None:
    source = """
names: set[str] = set()
numbers: set[int] = set()
for name in sorted(names): print(name)
for number in numbers: print(number)
longest = max(len(name) for name in names)
others = {name for name in names if name}
known = "a" in names
"""
    assert list(walks_over_sets(source)) == []


RUN = """
import asyncio
from itertools import count

from gateway.core.model import UserRef
from gateway.queue.in_store import InStoreQueue
from gateway.store.sqlite import SqliteDatabase, SqliteStore
from tests.kit.build import NOW, item
from tests.kit.clocks import wall
from tests.kit.engines import LoopEngine, in_memory
from tests.kit.stores import Handle, accept, fresh_secret, record, register

async def main():
    connection = in_memory()
    connection.set_trace_callback(print)
    store = SqliteStore(SqliteDatabase(LoopEngine(connection)), max_per_user=2, fresh=fresh_secret)
    names = (f"name-{number}" for number in count())
    queue = InStoreQueue(
        store.database,
        journal=store.journal,
        observer=lambda event: None,
        clock=wall(lambda: NOW),
        new_id=lambda: next(names),
    )
    handle = Handle(store, queue)
    people = [f"user-{number}" for number in range(20)]
    for who in people:
        ids = {"user_id": who, "custom_id": f"c-{who}"}
        await register(handle, f"phone-of-{who}", f"address-of-{who}", **ids)
    items = [item(index, user_id=who, custom_id=f"c-{who}") for index, who in enumerate(people)]
    await accept(handle, "msg_1", items)
    (claim,) = await queue.claim(limit=8, lease_s=30.0, now=NOW, skip_lanes=["agent/fcm", "b/apns"])
    found = await store.registry.targets([entry.item for entry in claim.chunk.items])
    lines = [record("msg_1", number, one.device_id) for number, (one,) in enumerate(found)]
    await store.journal.record(lines, [], done=[("msg_1", 0)])
    await store.registry.erase(UserRef.either("user-7"), now=NOW)
    print(sorted(await store.registry.count()), await queue.extend([claim], lease_s=30.0, now=NOW))
    await queue.settle(claim, [])
    await store.aclose()

asyncio.run(main())
"""


def said_under(hash_seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_database_is_told_is_the_same_whatever_strings_hash_to() -> None:
    first = said_under(1)
    assert "user-19" in first
    assert said_under(2) == said_under(3) == first
