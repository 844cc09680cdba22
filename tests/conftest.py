"""Property tests run without a deadline: a busy machine is not a wrong result."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
