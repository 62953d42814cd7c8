"""Colours for embeddings: projection to three principal components.

Shapes: B images, D embedding dims, H W size.
"""
import torch
from torch import Tensor


def pca_rgb(embeddings: Tensor,
            *,
            low: float = 0.01,
            high: float = 0.99,
            max_samples: int = 65536) -> Tensor:
    """Project embeddings on their three principal components as RGB colours.

    Red, green and blue are the first, second and third component. One basis
    and one scale are used for the whole batch, so that equal colours mean
    equal embeddings in all its images. The sign of a component is chosen so
    that its entry of largest magnitude is positive, which makes the colours
    repeatable. The range of each component from its `low` to its `high`
    quantile is mapped to [0, 1]; values outside are clipped.

    Args:
        embeddings: (B, D, H, W) floating tensor; D may be below 3.
        low: Quantile in [0, 1] that is mapped to 0; below `high`. The
            defaults of both keep single outliers from dimming the picture.
        high: Quantile in [0, 1] that is mapped to 1.
        max_samples: Maximum number of evenly spaced pixels from which the
            basis and the quantiles are computed.

    Returns:
        (B, 3, H, W) float32 in [0, 1] without a gradient. A component that
        does not vary (constant input, or D < 3) is 0.5 everywhere, and so
        is a pixel with a value that is not finite.

    Raises:
        ValueError: If `embeddings` is empty or does not have four
            dimensions, if the quantiles are not 0 <= low < high <= 1, or if
            `max_samples` is below 1.

    Example:
        >>> ramp = torch.arange(5.).view(1, 1, 1, 5)
        >>> pca_rgb(ramp, low=0., high=1.)[0, :, 0, 1].tolist()
        [0.25, 0.5, 0.5]
    """
    if embeddings.dim() != 4 or embeddings.numel() == 0:
        raise ValueError('`embeddings` must be (B, D, H, W) and not empty, '
                         f'got shape {tuple(embeddings.shape)}')
    if not 0 <= low < high <= 1:
        raise ValueError('`low` and `high` must satisfy 0 <= low < high <= '
                         f'1, got {low} and {high}')
    if max_samples < 1:
        raise ValueError(f'`max_samples` must be positive, got {max_samples}')
    batch, dims, height, width = embeddings.shape
    pixels = embeddings.detach().movedim(1, -1).reshape(-1, dims).float()
    finite = pixels.isfinite().all(1)
    used = pixels[finite]
    if not len(used):
        return pixels.new_full((batch, 3, height, width), .5)
    used = used[::max(-(-len(used) // max_samples), 1)]
    centre = used.mean(0)
    basis = _principal_axes(used - centre)
    scale = torch.tensor([low, high]).to(used)
    start, stop = torch.quantile((used - centre) @ basis, scale, dim=0)
    # a component that varies by rounding errors only is not stretched
    spread = stop - start
    flat = spread <= 1e-5 * torch.maximum(spread.max(), used.abs().max())
    colours = ((pixels - centre) @ basis - start) / spread.masked_fill(
        flat, 1)
    colours = colours.clamp(0, 1).masked_fill(flat, .5)
    colours = torch.where(finite[:, None], colours, colours.new_tensor(.5))
    return colours.view(batch, height, width, 3).movedim(-1, 1).contiguous()


def _principal_axes(centred: Tensor) -> Tensor:
    """Return the three leading principal axes (D, 3) of centred rows (N, D).

    Axes that do not exist (D < 3) are zero. They are computed from the
    D x D covariance in float64, because there are many rows and few dims.
    """
    dims = centred.shape[1]
    rows = centred.double()
    _, vectors = torch.linalg.eigh(rows.T @ rows)  # ascending
    leading = vectors.flip(1)[:, :3]
    entry = leading.gather(0, leading.abs().argmax(0, keepdim=True))
    leading = leading * torch.where(entry < 0, -1., 1.)
    basis = leading.new_zeros(dims, 3)
    basis[:, :leading.shape[1]] = leading
    return basis.to(centred.dtype)
