"""One page about a result file, which needs nothing but a browser."""

from lsml.report.page import write_report as write_report
