"""Where settings come from: the file, the environment, and the files that hold secrets.

Owns finding, reading and merging them into plain nested data. Refuses to judge values: that is
the models' business. Nothing here raises: every mistake becomes a line in `problems`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from config import formats, shape, wording
from config.injected import injected
from providers import pasted

PREFIX = "INKPUSH_"
DEFAULT_FILE = "inkpush.toml"
_IN_QUOTES = (
    "stands in quotes, which a Docker env file keeps as part of the value; expected no quotes, or "
    "the value in a file if they belong to it"
)
#: variables that are no settings: the file's place, what the command line reads, what Compose does
OTHER_VARIABLES = frozenset({"INKPUSH_CONFIG", "INKPUSH_API_KEY", "INKPUSH_CONFIG_DIR"})


@dataclass(slots=True)
class Gathered:
    """The merged data, which variable set what, and what went wrong on the way.

    Not `complete` where the file could not be read: then nothing can be called missing.
    """

    data: dict[str, Any] = field(default_factory=dict)
    variables: dict[shape.Loc, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    complete: bool = True


def find_file(path: Path | None, env: Mapping[str, str]) -> Path | None:
    """The file to read: the given one, else INKPUSH_CONFIG, else ./inkpush.toml, else none."""
    if path is not None:
        return path
    if named := pasted.unquoted(env.get("INKPUSH_CONFIG", "")):
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.is_file() else None


def gather(model: type[BaseModel], path: Path | None, env: Mapping[str, str]) -> Gathered:
    """Read the file, lay the environment over it, and bring in the files that hold secrets."""
    gathered = Gathered()
    file = find_file(path, env)
    base = file.absolute().parent if file else Path.cwd()
    if file:
        gathered.data = _read_toml(model, file, gathered.problems)
        gathered.complete = not gathered.problems
    _anchor_paths(model, gathered.data, base)
    _overlay_environment(model, gathered, env)
    store = gathered.data.setdefault("store", {})
    if isinstance(store, dict):
        default = shape.field_of(model, ("store", "url")).get_default()
        store.setdefault("url", _anchor_url(default, base))
    _bring_in_secrets(gathered)
    _look_for_files(model, gathered)
    return gathered


def _read_toml(model: type[BaseModel], file: Path, problems: list[str]) -> dict[str, Any]:
    text = ""
    try:
        text = pasted.text_of(file.read_bytes())
        data = tomllib.loads(text)
        for loc in shape.walk(data):
            if isinstance(value := shape.get(data, loc), str):
                alone = shape.exists(model, loc) and shape.is_list(model, loc)
                value = pasted.trimmed(value)
                shape.put(data, loc, _parts(value) if alone else value)
        return data
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{file}: is not valid TOML; {wording.toml(str(error), text)}")
    except pasted.NotText as error:
        problems.append(f"{file}: {error}; expected a TOML file, saved as UTF-8")
    except OSError as error:
        problems.append(f"{file}: cannot be read ({error.strerror}); expected a TOML file")
    return {}


def holds_secrets(model: type[BaseModel], file: Path) -> bool:
    """Whether secrets stand in the configuration file itself."""
    data = _read_toml(model, file, [])
    secrets = (
        shape.get(data, loc)
        for loc in shape.walk(data)
        if shape.is_secret(model, loc) and loc[-1] != "proxy"
    )
    store = data.get("store", {})
    url = str(store.get("url", "")) if isinstance(store, dict) else ""
    return any(secrets) or formats.without_password(url) != url


# --- the environment ---------------------------------------------------------------------------


def _overlay_environment(
    model: type[BaseModel], gathered: Gathered, env: Mapping[str, str]
) -> None:
    others = OTHER_VARIABLES | injected(env)
    names = [name for name in env if name.startswith(PREFIX) and name not in others]
    for name in sorted(names, key=_in_order):
        loc = shape.parse_variable(name.removeprefix(PREFIX))
        if not shape.exists(model, loc):
            known = [PREFIX + shape.variable(loc) for loc in shape.leaves(model)]
            gathered.problems.append(wording.unknown(name, known))
            continue
        text = pasted.trimmed(env[name])
        bare = pasted.unquoted(text)
        # a proxy's address is secret, too, and never begins with a quote
        alone = shape.is_secret(model, loc) and not shape.is_list(model, loc)
        if bare != text and alone and "://" not in bare:
            gathered.problems.append(f"{name}: {_IN_QUOTES}")
        if not bare and not shape.takes_empty(model, loc):
            continue  # `NAME: ${NOTHING}` of Compose is no value
        value = _from_text(model, loc, bare)
        branch = _branch(loc, value)
        _anchor_paths(model, branch, Path.cwd())
        if _lay_over(gathered.data, branch):
            gathered.variables[loc] = name
        else:
            gathered.problems.append(
                f"{name}: counts from one that is not there; expected the numbers 0, 1, 2 ..."
            )


def _in_order(name: str) -> list[str]:
    """Sort app 2 before app 10."""
    return [part.zfill(8) if part.isdecimal() else part for part in name.split("__")]


def _from_text(model: type[BaseModel], loc: shape.Loc, text: str) -> Any:
    """A list may be JSON or separated by commas; anything else is text, or JSON for a table."""
    if shape.is_text(model, loc):
        return text
    holds_more = shape.is_list(model, loc) or shape.model_at(model, loc) is not None
    if holds_more and text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return _parts(text) if shape.is_list(model, loc) else text


def _parts(text: str) -> list[str]:
    return [part for part in map(pasted.unquoted, text.split(",")) if part]


def _branch(loc: shape.Loc, value: Any) -> Any:
    for key in reversed(loc):
        value = {key: value}
    return value


def _lay_over(data: Any, branch: dict[Any, Any]) -> bool:
    """Merge values into nested tables and lists; False where a list would get a gap."""
    gaps = [key for key, value in branch.items() if not _lay_one(data, key, value)]
    return not gaps


def _lay_one(data: Any, key: Any, value: Any) -> bool:
    if isinstance(key, int):
        if key > len(data):
            return False
        if key == len(data):
            data.append({})
    if not isinstance(value, dict):
        data[key] = value
        return True
    kind = list if isinstance(next(iter(value), None), int) else dict
    if not isinstance(data[key] if isinstance(key, int) else data.get(key), kind):
        data[key] = kind()
    return _lay_over(data[key], value)


# --- files that settings name ------------------------------------------------------------------


def _anchor_paths(model: type[BaseModel], data: Any, base: Path) -> None:
    """Make the relative paths in `data` absolute, from `base`."""
    for loc in shape.walk(data):
        text = shape.get(data, loc)
        if not isinstance(text, str) or not text:
            continue
        if loc == ("store", "url"):
            shape.put(data, loc, _anchor_url(text, base))
        elif shape.is_path(model, loc):
            shape.put(data, loc, str(base / Path(text).expanduser()))


def _anchor_url(url: str, base: Path) -> str:
    name = url.removeprefix(formats.SQLITE_PREFIX)
    if name == url or not name or name.startswith("/"):
        return url
    return f"{formats.SQLITE_PREFIX}{base / name}"


def _bring_in_secrets(gathered: Gathered) -> None:
    """Read the `..._file` twins of settings into the settings themselves."""
    queue = gathered.data.get("queue")
    if isinstance(queue, dict) and (text := _read(queue, "queue.password_file", gathered)):
        if queue.get("password"):
            gathered.problems.append(
                "queue.password: is given here and as queue.password_file; expected one of them"
            )
        queue["password"] = pasted.trimmed(text)
    auth, sources = gathered.data.get("auth"), gathered.data.get("sources")
    _bring_in_signing_secrets(gathered.data.get("webhook"), "webhook", gathered)
    for i, source in enumerate(sources if isinstance(sources, list) else ()):
        _bring_in_signing_secrets(source, f"sources[{i}]", gathered)
    hooks = gathered.data.get("hooks")
    for i, hook in enumerate(hooks if isinstance(hooks, list) else ()):
        _bring_in_signing_secrets(hook, f"hooks[{i}]", gathered, key="secret_file")
    if not isinstance(auth, dict):
        return
    if text := _read(auth, "auth.jwt_secret_file", gathered):
        if auth.get("jwt_secret"):
            gathered.problems.append(
                "auth.jwt_secret: is given here and as auth.jwt_secret_file; expected one of them"
            )
        auth["jwt_secret"] = pasted.trimmed(text)
    if text := _read(auth, "auth.jwt_public_keys_file", gathered):
        keys = [pasted.armoured(piece) for piece in pasted.pieces(text.encode())] or [text]
        auth["jwt_public_keys"] = _joined(auth.get("jwt_public_keys", []), keys)


def _bring_in_signing_secrets(
    table: Any, name: str, gathered: Gathered, *, key: str = "secrets_file"
) -> None:
    if isinstance(table, dict) and (text := _read(table, f"{name}.{key}", gathered)):
        # base64 holds neither blanks nor #, nor what a list is written with
        lines = (line.partition("#")[0] for line in text.splitlines())
        secrets = [part for line in lines for part in re.split(r"[\s,;\[\]\"']+", line) if part]
        table["secrets"] = _joined(table.get("secrets", []), secrets)


def _joined(given: Any, more: list[str]) -> Any:
    return [*given, *more] if isinstance(given, list) else given


def _read(section: dict[str, Any], key: str, gathered: Gathered) -> str:
    path = section.get(key.rpartition(".")[2])
    if not isinstance(path, str) or not path:
        return ""
    try:
        text = pasted.text_of(Path(path).read_bytes())
    except OSError:
        return ""  # told once, with the other files
    except pasted.NotText as error:
        gathered.problems.append(f"{key}: {path} {error}; expected what its name says")
        return ""
    if not pasted.trimmed(text):
        gathered.problems.append(f"{key}: {path} holds no text; expected what its name says")
    return text


def _look_for_files(model: type[BaseModel], gathered: Gathered) -> None:
    """Every file that is named must be there and be readable."""
    for loc in shape.walk(gathered.data):
        path = shape.get(gathered.data, loc)
        if not isinstance(path, str) or not shape.is_path(model, loc):
            continue
        if not path:
            if shape.field_of(model, loc).is_required():
                key = shape.dotted(loc)
                gathered.problems.append(f"{key}: is empty; expected the name of a file")
            continue
        try:
            with Path(path).open("rb"):
                continue
        except OSError as error:
            if wording.may_be_secret(Path(path).name) or wording.is_marked(path):
                wrong = "is no file's name, but looks like what belongs into the file"
            elif isinstance(error, FileNotFoundError):
                wrong = f"there is no file {path}"
            else:
                wrong = f"{path} cannot be read ({error.strerror})"
        except ValueError:
            wrong = "is no file's name"
        gathered.problems.append(f"{shape.dotted(loc)}: {wrong}; expected a readable file")
