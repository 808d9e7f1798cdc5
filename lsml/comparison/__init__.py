"""Rules on the same problems: their errors per iteration, per second, per operation."""

from lsml.comparison.compare import compare as compare
from lsml.comparison.result import Comparison as Comparison
from lsml.comparison.trials import Trial as Trial
