"""Pictures: figures made by matplotlib's objects, without its global state."""

from lsml.plot.comparison import plot_comparison as plot_comparison
from lsml.plot.convergence import plot_convergence as plot_convergence
from lsml.plot.costs import plot_costs as plot_costs
from lsml.plot.solution import plot_solution as plot_solution
