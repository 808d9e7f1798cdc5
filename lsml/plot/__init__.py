"""Pictures: figures made by matplotlib's objects, without its global state."""

from lsml.plot.comparison import plot_comparison as plot_comparison
from lsml.plot.convergence import plot_convergence as plot_convergence
from lsml.plot.costs import plot_costs as plot_costs
from lsml.plot.differences import plot_differences as plot_differences
from lsml.plot.grids import plot_grid as plot_grid
from lsml.plot.slices import plot_slices as plot_slices
from lsml.plot.solution import plot_solution as plot_solution
from lsml.plot.stiffness import plot_stiffness as plot_stiffness
from lsml.plot.volume import plot_volume as plot_volume
