"""The error that is the user's to mend."""


class UserError(Exception):
    """Something in the configuration, the data or the cluster that the user can put right.

    Entry points print its message alone, without a traceback, and exit with code 2. A message names the
    file or field, what was found, and what was expected.
    """
