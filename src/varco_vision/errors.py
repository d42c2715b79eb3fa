"""The one exception that means: the person who called made a mistake that they can mend."""

EXIT_USER = 2  # exit code of a command that such a mistake ended


class InputError(ValueError):
    """A user's mistake. The message is one sentence: what was found, where, and what would be right."""
