"""Laws that every update rule obeys, for the suites of those who write rules."""

from lsml.testing.conformance import CHECKS as CHECKS
from lsml.testing.conformance import Check as Check
from lsml.testing.conformance import check_rule as check_rule
from lsml.testing.problems import ALL_CASES as ALL_CASES
from lsml.testing.problems import CASES as CASES
from lsml.testing.problems import CONDUCTION_CASES as CONDUCTION_CASES
from lsml.testing.problems import STAGGERED_CASES as STAGGERED_CASES
from lsml.testing.problems import Case as Case
from lsml.testing.problems import small_case as small_case
