"""An attempt to learn the coarse space from the microstructure.

A translation-equivariant network maps the labels to a matrix field F; the coarse
vectors are its columns times long waves, w = cos(k·x) F e_c and so on, so that nothing
depends on where the cell begins. It is trained on what counts: the residual that
deflated conjugate gradients leave after some steps, backpropagated through them.
"""

import time
from typing import Any

import numpy as np
import torch
from coarse_proposals import waves
from torch import Tensor, nn

import lsml
from lsml.displacement_form import DisplacementForm

WIDTH, SIZE, LAST = 8, 9, 10  # channels, training cells, steps that are unrolled
CG = lsml.ConjugateGradient()


class Proposer(nn.Module):
    """Labels (*n) to vectors (1, k, 3·voxels)."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int) -> nn.Conv3d:
            return nn.Conv3d(inputs, outputs, 3, padding=1, padding_mode="circular")

        self.layers = nn.Sequential(
            layer(1, width), nn.Tanh(), layer(width, width), nn.Tanh(), layer(width, 9)
        )

    def forward(self, labels: np.ndarray) -> Tensor:
        """Columns of I/4 + F times every long wave."""
        signs = torch.from_numpy(2.0 * labels - 1.0).float()[None, None]
        matrix = self.layers(signs).double().reshape(3, 3, *labels.shape)
        matrix = matrix + 0.25 * torch.eye(3).double().reshape(3, 3, 1, 1, 1)
        long = torch.from_numpy(np.stack(waves(labels.shape)))
        return (
            torch.einsum("kxyz,ijxyz->kjixyz", long, matrix)
            .flatten(0, 1)
            .flatten(1)[None]
        )

    def flops(self, voxels: int) -> float:
        """Operations of one proposal."""
        weights = sum(
            layer.weight.numel() for layer in self.layers if hasattr(layer, "weight")
        )
        return 2.0 * weights * voxels


def training_problem(
    labels: np.ndarray, contrast: float, scheme: str, vectors: int
) -> DisplacementForm:
    """As many samples as vectors, so that one hessian gives all images."""
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=contrast, nu=0.3)]
    draw = torch.Generator().manual_seed(int(labels.sum()))
    loads = torch.randn(1, vectors, 6, generator=draw, dtype=torch.float64)
    built = lsml.elasticity(labels[None], phases, lsml.load(strain=loads), scheme)
    return DisplacementForm(built.referred(CG.reference))


def log_residual(p: DisplacementForm, w: Tensor, steps: int) -> Tensor:
    """Mean of log √<r, N r> over the last half of ``steps`` deflated CG steps."""
    images = p.hessian(p.start(), w)
    one = p.select(torch.tensor([0]))
    assert one is not None
    force = w @ images.T
    scale = force.diagonal().rsqrt()
    factor = torch.linalg.cholesky(
        scale[:, None] * force * scale + 1e-9 * torch.eye(len(w)).double()
    )

    def coarse(work: Tensor) -> Tensor:
        solved = torch.cholesky_solve((scale * work)[:, None], factor)[:, 0]
        return scale * solved

    r = one.force(one.start())
    first = (r * one.precondition(r)).sum()
    r = r - coarse(w @ r[0]) @ images
    z, d, before, kept = one.precondition(r), None, None, []
    for k in range(steps):
        norm2 = (r * z).sum()
        d = z - coarse(images @ z[0]) @ w + (0.0 if d is None else norm2 / before * d)
        image = one.hessian(one.start(), d)
        r = r - norm2 / (d * image).sum() * image
        z, before = one.precondition(r), norm2
        if k >= steps // 2:
            kept.append(0.5 * torch.log((r * z).sum() / first))
    return torch.stack(kept).mean()


def proposer(
    contrast: float, scheme: str, seconds: float, seed: int = 0
) -> tuple[Proposer, dict[str, Any]]:
    """Trained for so long on small generated cells, and how it went."""
    torch.manual_seed(seed)
    net, losses = Proposer(), []
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    rng, started = np.random.default_rng(seed), time.process_time()
    while time.process_time() - started < seconds:
        cell = lsml.data.microstructures(
            1,
            (SIZE,) * 3,
            int(rng.integers(3, 6)),
            float(rng.uniform(0.2, 0.8)),
            seed=int(rng.integers(2**31)),
        )[0]
        w = net(cell)[0]
        p = training_problem(cell, contrast, scheme, len(w))
        loss = log_residual(p, w, LAST)
        with torch.no_grad():  # beside noise, which deflates nothing
            plain = log_residual(p, torch.randn_like(w[:1]), LAST)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach() - plain))
    few = max(1, len(losses) // 10)
    return net, {
        "parameters": sum(t.numel() for t in net.parameters()),
        "steps": len(losses),
        "log_gain_first": float(np.mean(losses[:few])),
        "log_gain_last": float(np.mean(losses[-few:])),
    }
