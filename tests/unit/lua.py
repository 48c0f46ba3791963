"""A real Lua, as Argo CD embeds it."""

from __future__ import annotations

from typing import Any

import lupa.lua51


def run(script: str, obj: dict[str, Any]) -> Any:
    """Run a script as Argo CD does, which embeds Lua 5.1."""
    lua = lupa.lua51.LuaRuntime()
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return plain(lua.execute(script))


def plain(value: Any) -> Any:
    """Return a table as a dictionary."""
    if lupa.lua51.lua_type(value) != "table":
        return value
    return {key: plain(part) for key, part in value.items()}
