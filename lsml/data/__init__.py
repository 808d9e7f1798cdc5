"""Microstructures to solve, the recipes that draw them, and datasets of solved ones."""

from lsml.data.dataset import LocalizationDataset as LocalizationDataset
from lsml.data.generation import generate as generate
from lsml.data.microstructures import Design as Design
from lsml.data.microstructures import latin_hypercube as latin_hypercube
from lsml.data.microstructures import microstructures as microstructures
from lsml.data.published_data import convert_paper as convert_paper
from lsml.data.shards import SampleError as SampleError
