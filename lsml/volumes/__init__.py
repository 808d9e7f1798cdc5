"""Effective stiffness of many images, each kept as soon as it is there."""

from lsml.volumes.batch import homogenize_all as homogenize_all
from lsml.volumes.effective import Settings as Settings
from lsml.volumes.row import Row as Row
