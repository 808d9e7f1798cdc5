"""Microstructures to solve, and the recipes that draw them."""

from lsml.data.microstructures import Design as Design
from lsml.data.microstructures import latin_hypercube as latin_hypercube
from lsml.data.microstructures import microstructures as microstructures
