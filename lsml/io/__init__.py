"""Files: label images in, solutions out. Nothing partial is ever left on disk."""

from lsml.io.card import write_card as write_card
from lsml.io.labels import read_labels as read_labels
