"""LuaJIT in this process, by ctypes on its library: what an adapter for a system in Lua needs.

Both share one address space, so an array's address is all that has to pass between them, and
the worker's clock and verification serve such a system as they serve the others.
"""

import ctypes
from typing import Any

GLOBALS = -10002  # a place in Lua's stack that is the table of global names (lua.h)


class Lua:
    """A LuaJIT in this process. Only what lua.h and lauxlib.h of Lua 5.1 say is called."""

    def __init__(self, library: str):
        # Globally: Torch's own libraries look for Lua's functions in the process.
        self.lib = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        state, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
        for name, result, *arguments in (
            ("luaL_newstate", state),
            ("luaL_openlibs", None, state),
            ("luaL_loadstring", number, state, text),
            ("lua_pcall", number, state, number, number, number),
            ("lua_getfield", None, state, number, text),
            ("lua_pushnumber", None, state, ctypes.c_double),
            ("lua_pushstring", state, state, text),
            ("lua_isnumber", number, state, number),
            ("lua_tonumber", ctypes.c_double, state, number),
            ("lua_tolstring", text, state, number, ctypes.c_void_p),
            ("lua_settop", None, state, number),
        ):
            function = getattr(self.lib, name)
            function.restype, function.argtypes = result, arguments
        self.state = self.lib.luaL_newstate()
        if not self.state:
            raise MemoryError("LuaJIT found no memory of the kind it needs")
        self.lib.luaL_openlibs(self.state)

    def call(self, name: str, *arguments: float | str) -> Any:
        """A global function's result: a number, a text, or None."""
        self.lib.lua_getfield(self.state, GLOBALS, name.encode())
        for argument in arguments:
            if isinstance(argument, str):
                self.lib.lua_pushstring(self.state, argument.encode())
            else:
                self.lib.lua_pushnumber(self.state, argument)
        return self._called(len(arguments))

    def run(self, source: str) -> Any:
        """What a piece of Lua returns."""
        if self.lib.luaL_loadstring(self.state, source.encode()):
            raise self._error()
        return self._called(0)

    def _called(self, arguments: int) -> Any:
        if self.lib.lua_pcall(self.state, arguments, 1, 0):
            raise self._error()
        if self.lib.lua_isnumber(self.state, -1):
            result: Any = self.lib.lua_tonumber(self.state, -1)
        else:
            text = self.lib.lua_tolstring(self.state, -1, None)
            result = None if text is None else text.decode()
        self.lib.lua_settop(self.state, 0)
        return result

    def _error(self) -> Exception:
        message = (self.lib.lua_tolstring(self.state, -1, None) or b"").decode(errors="replace")
        self.lib.lua_settop(self.state, 0)
        return (MemoryError if "not enough memory" in message else RuntimeError)(message)
