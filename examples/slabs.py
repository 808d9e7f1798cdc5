"""One volume over several processes: a slab for each, and the answer of the whole.

    torchrun --nproc-per-node 2 examples/slabs.py [EDGE]

Without torchrun it starts two processes itself. Each has its rows of a microstructure,
solves for them, and compares with what one process finds alone.
"""

import os
import sys

import torch
import torch.multiprocessing

import lsml

EDGE = 24


def image(edge: int) -> torch.Tensor:
    """Spheres in a matrix; a large image would be read row by row instead."""
    x = torch.arange(edge) / edge
    waves = [torch.sin(2 * torch.pi * (k + 1) * x) for k in range(3)]
    field = waves[0][:, None, None] + waves[1][:, None] + waves[2]
    return (field > 0.4).to(torch.uint8)


def main(rank: int | None = None, edge: int = EDGE) -> None:
    if rank is not None:  # what torchrun would set
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1"}
    torch.set_num_threads(1)
    slabs = lsml.distributed.join()
    labels = image(edge)
    mine = lsml.distributed.Slab(labels[slabs.rows(edge)], slabs, edge)
    solution = lsml.solve(mine, "cg", contrast=50)
    # Fields and averages are computed when they are read: by all processes together.
    stress = solution.problem.whole(solution.stress)
    mean, steps = float(solution.mean_stress[0, 0]), int(solution.iterations)
    if slabs.rank == 0:
        alone = lsml.solve(labels, "cg", contrast=50)
        apart = (stress - alone.stress).abs().max() / alone.stress.abs().max()
        print(f"{slabs.count} processes: {steps} iterations, mean stress {mean:.6g}")
        print(f"stress differs from that of one process by {apart:.1e}")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else EDGE
    if "RANK" in os.environ:
        main(edge=wanted)
    else:
        os.environ.setdefault("MASTER_PORT", "29517")
        torch.multiprocessing.spawn(main, (wanted,), nprocs=2)
