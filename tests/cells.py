"""Random media and small oracles that several tests share."""

import numpy as np
import torch

import lsml

SCHEMES = ["fourier", "rotated", "hex8", "hex8-bbar"]
DIFFERENCES = ["staggered", "forward", "backward"]
ELEMENTS = ["rotated", "hex8", "hex8-bbar"]
SHAPES = [(5, 3, 3), (4, 1, 6), (5, 8)]
SPACING = (1.0, 2.0, 0.5)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def components(shape):
    return 3 if len(shape) == 2 else 6


def random_labels(shape, phases=2, batch=1, seed=0):
    """Labels (b, *n) in which every phase occurs in every sample."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, phases, (batch, *shape))
    labels.reshape(batch, -1)[:, :phases] = np.arange(phases)
    return labels


def random_stiffness(components, seed, contrast=1.0):
    """A full anisotropic Mandel matrix with eigenvalues between 1 and 4 contrasts."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(components, components)))
    c = contrast * (q * np.linspace(1.0, 4.0, components)) @ q.T
    return (c + c.T) / 2


def random_rotations(count, seed):
    """Proper rotations (count, 3, 3)."""
    rng = np.random.default_rng(seed)
    q, r = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    return q * np.linalg.det(q)[:, None, None]


def random_load(components, seed, batch=1):
    """A mean strain (b, c) without vanishing components."""
    return torch.randn(
        batch, components, dtype=torch.float64, generator=generator(seed)
    )


def effective(labels, phases, scheme, spacing=None):
    """C* (b, c, c), its diagonal certified to 1e-13."""
    ndim = np.asarray(labels).ndim - 1
    problem = lsml.elasticity(
        labels,
        phases,
        lsml.load(strain=[1.0] + [0.0] * (2 if ndim == 2 else 5)),
        scheme,
        spacing=spacing,
    )
    return lsml.homogenize(problem, tol=1e-13).stiffness


def distance(a, b):
    """Largest difference over the largest entry of b."""
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    return float((a - b).abs().max() / b.abs().max())
