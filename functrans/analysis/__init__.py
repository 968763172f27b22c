"""What a function costs, and which mode of differentiation suits it."""

from functrans.analysis.cost import Cost as Cost
from functrans.analysis.cost import cost as cost
from functrans.analysis.cost import program_cost as program_cost
from functrans.analysis.modes import ModeComparison as ModeComparison
from functrans.analysis.modes import ModeCost as ModeCost
from functrans.analysis.modes import compare_modes as compare_modes
from functrans.analysis.modes import jacobian as jacobian
