"""The one exception for input that is wrong, as opposed to a program that is."""


class Wrong(Exception):
    """What the user gave cannot be used.

    The message is one line: what was given, what was expected, what to do. The command
    line prints it and exits with status 2; no traceback.
    """
