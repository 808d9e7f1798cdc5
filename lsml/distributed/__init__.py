"""One volume over many processes, each with a slab of it along the first axis.

Every process runs the same program on its own slab, under `torch.distributed` (NCCL on
GPUs, Gloo on CPUs), and calls what it would call alone::

    slabs = lsml.distributed.join()
    labels = slabs.take(image)  # or read only the rows slabs.rows(n)
    solution = lsml.solve(labels, "cg", contrast=50)
    solution.strain  # of this slab; averages and errors are those of the cell

Spectra are held transposed, in slabs along the second axis. Only the grid knows.
"""

from lsml.distributed.group import Slabs as Slabs
from lsml.distributed.group import join as join
from lsml.distributed.slab import Slab as Slab
from lsml.distributed.slab import SlabGrid as SlabGrid
from lsml.distributed.team import PeerError as PeerError
