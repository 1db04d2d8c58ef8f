"""Stands for a checkout of Nervana neon: like it, it wants a module that set-up would write."""

from neon.version import VERSION as __version__  # noqa: F401
