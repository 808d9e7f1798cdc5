"""A local web page that shows results side by side."""

from lsml.viewer.serve import Viewer as Viewer
from lsml.viewer.serve import view as view
