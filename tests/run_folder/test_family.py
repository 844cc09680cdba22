"""A network that does not read the coefficient serves coefficients that vary as those of its training or less, one that reads it any positive one."""

import pytest

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.models import DirectionNet, LearnedVCycle, LinearMultigridNet
from pdeflow.problems import Darcy, LogNormalDarcy, Poisson
from pdeflow.run_folder.family import check_family


def system_of(problem, index=0, side=32):
    return problem.system(problem.sample(seeds.generator(7, seeds.SOLVE, index)), problem.grid((side, side)))


@pytest.mark.parametrize(
    ("trained_on", "given", "words"),
    [
        (Poisson(), Darcy(), "Poisson, whose coefficient is constant.*varies by a factor of 4;"),
        (Darcy(), LogNormalDarcy(), "Darcy, whose coefficient varies by a factor of about 4, .* varies by a factor of 2"),
        (Darcy(), Darcy(low=1e-3, high=3.0), "varies by a factor of 3e"),
    ],
)
def test_a_coefficient_that_varies_more_than_in_training_is_refused_unless_it_is_read(trained_on, given, words):
    for network in (DirectionNet(2), LinearMultigridNet(levels=3)):
        with pytest.raises(UsageError, match=words):
            check_family(network, trained_on, system_of(given))
    check_family(LearnedVCycle(), trained_on, system_of(given))


@pytest.mark.parametrize("problem", [Poisson(), Darcy(), LogNormalDarcy()])
def test_a_network_serves_unseen_draws_of_its_own_problem_and_coefficients_that_vary_less(problem):
    for index in range(20):  # also draws of larger contrast than all that were looked at
        check_family(DirectionNet(2), problem, system_of(problem, index, 64))
    check_family(DirectionNet(2), problem, system_of(Poisson()))
