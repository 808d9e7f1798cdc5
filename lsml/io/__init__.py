"""Files: label images in, solutions out. Nothing partial is ever left on disk."""

from lsml.io.card import write_card as write_card
from lsml.io.image import Image as Image
from lsml.io.image import Raw as Raw
from lsml.io.labels import read_image as read_image
from lsml.io.labels import read_labels as read_labels
from lsml.io.saved import Saved as Saved
from lsml.io.saved import read_saved as read_saved
