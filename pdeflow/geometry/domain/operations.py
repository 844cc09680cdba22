"""Gives every domain its operators: the classes they construct derive from `Domain`, which cannot import them."""

from __future__ import annotations

from pdeflow.geometry.domain.combination import Combination
from pdeflow.geometry.domain.complement import Complement
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.moved import Moved
from pdeflow.geometry.domain.offset import Offset
from pdeflow.geometry.domain.protocol import Operations
from pdeflow.geometry.domain.redistanced import Redistanced

Domain.operations = Operations(Combination, Complement, Moved, Offset, Redistanced)
