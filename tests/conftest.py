"""Property tests draw the same examples on every machine and have no deadline: a busy machine is not a wrong result.

`pytest --hypothesis-profile explore` draws new ones.
"""

from hypothesis import settings

settings.register_profile("explore", deadline=None)
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
