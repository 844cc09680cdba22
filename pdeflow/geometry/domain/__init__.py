from pdeflow.geometry.domain import operations  # noqa: F401  (gives every domain its operators)
from pdeflow.geometry.domain.ball import Annulus, Ball
from pdeflow.geometry.domain.box import Box
from pdeflow.geometry.domain.combination import Combination
from pdeflow.geometry.domain.complement import Complement
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.half_space import HalfSpace
from pdeflow.geometry.domain.moved import Moved
from pdeflow.geometry.domain.offset import Offset
from pdeflow.geometry.domain.polygon import Polygon
from pdeflow.geometry.domain.redistanced import Redistanced
from pdeflow.geometry.domain.results import Hit, Projection
from pdeflow.geometry.domain.sdf_domain import SdfDomain
from pdeflow.geometry.domain.star_shaped import StarShaped

__all__ = [
    "Annulus",
    "Ball",
    "Box",
    "Combination",
    "Complement",
    "Domain",
    "HalfSpace",
    "Hit",
    "Moved",
    "Offset",
    "Polygon",
    "Projection",
    "Redistanced",
    "SdfDomain",
    "StarShaped",
]
