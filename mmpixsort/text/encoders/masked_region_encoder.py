"""Encode regions of an image by additional tokens in the layers of a ViT.

Shapes: B images, K regions of an image, P patches, W width of the tower.
"""
from typing import Optional, Sequence, Tuple

from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from mmpixsort.functional.checks import check_choice, check_non_negative
from mmpixsort.functional.words.region_attention import (CLOSED, CONTEXTS,
                                                         confinement_bias,
                                                         outside_bias,
                                                         region_attention,
                                                         region_bias,
                                                         region_members)
from mmpixsort.registry import MODELS


@MODELS.register_module()
class MaskedRegionEncoder(nn.Module):
    """Embed all regions of an image in one pass, with their context.

    Every region has a token that starts as a copy of the CLS token. In each
    layer it attends to itself and to the patches, with a bias that depends on
    `context`; see :mod:`mmpixsort.functional.words.region_attention`. The
    ordinary tokens never attend to region tokens, so the embedding of the
    image does not change. Patches attend to the whole image, except with
    'isolated'. The encoder has no weights of its own.

    This is our version of the contextually aware masking of
    https://arxiv.org/abs/2304.01114, which does not state the exact rule.

    Args:
        context: Patches to which a region token attends. 'hard': the patches
            of its region; 'soft': all patches, with a lower weight for those
            of other regions; 'none': all patches equally; 'late': all patches
            equally before `start_layer`, and those of its region from there
            on; 'isolated': the patches of its region, which attend only to
            each other too. 'isolated' is the baseline without context, and
            costs a second stream of patches.
        start_layer: Index of the layer before which the region tokens are
            copied from CLS; with 'late', of the first layer in which they
            attend to their region only. A negative index counts from the
            end: -3 selects the last three layers, as in SAN. If `cls_bias` is
            minus infinity, 'late' gives the same result as 'hard', because
            region tokens equal CLS before `start_layer`.
        soft_bias: Number, 0 or more, that 'soft' subtracts from the attention
            logits of patches of other regions.
        cls_bias: Number that is added to the attention logit of CLS. With 0,
            region tokens attend to CLS; with minus infinity, as in SAN, they
            do not.

    Raises:
        ValueError: If a value is out of range, 'late' is used with
            `start_layer` 0, or 'isolated' with another `start_layer` or
            `cls_bias` than the defaults, which would add context.

    Example::

        blocks = clip.visual.transformer.resblocks
        tokens, regions = MaskedRegionEncoder()(blocks, tokens, ids, 3)
    """

    def __init__(self,
                 *,
                 context: str = 'hard',
                 start_layer: int = 0,
                 soft_bias: float = 2.,
                 cls_bias: float = CLOSED) -> None:
        super().__init__()
        check_choice('context', context, CONTEXTS)
        check_non_negative('soft_bias', soft_bias)
        if context == 'late' and start_layer == 0:
            raise ValueError("`start_layer` must not be 0 with the context "
                             "'late', which would then equal 'hard'")
        if context == 'isolated' and (start_layer != 0 or cls_bias != CLOSED):
            raise ValueError(
                "`start_layer` must be 0 and `cls_bias` minus infinity with "
                "the context 'isolated', because CLS contains context, got "
                f'{start_layer} and {cls_bias}')
        self.context = context
        self.start_layer = start_layer
        self.soft_bias = soft_bias
        self.cls_bias = cls_bias

    def forward(self, blocks: Sequence[nn.Module], tokens: Tensor,
                ids: Tensor, num_regions: int) -> Tuple[Tensor, Tensor]:
        """Run the layers of a tower on its tokens and on region tokens.

        Args:
            blocks: Layers such as open_clip's `ResidualAttentionBlock`, with
                `ln_1`, `attn` (an `nn.MultiheadAttention`, batch first),
                `ln_2`, `mlp` and optionally `ls_1` and `ls_2`.
            tokens: Input (B, 1 + P, W) of the first layer, CLS first.
            ids: Region (B, P) of each patch, an integer in [0, K), or -1 for
                a patch in no region.
            num_regions: Number of regions K.

        Returns:
            The ordinary tokens (B, 1 + P, W) and the region tokens
            (B, K, W). The token of a region without patches is finite.
        """
        self._check(blocks, tokens, ids)
        start = self.start_layer % len(blocks)
        is_same = self.context != 'late' or self.cls_bias == CLOSED
        members = region_members(ids, num_regions)
        stream = Patches(tokens, ids) if self.context == 'isolated' else None
        regions = None
        for layer, block in enumerate(blocks):
            if layer >= (start if is_same else 0):
                if regions is None:
                    regions = tokens[:, :1].expand(-1, num_regions, -1)
                bias = region_bias(
                    members,
                    outside=outside_bias(
                        self.context, layer=layer, start_layer=start,
                        soft_bias=self.soft_bias),
                    cls_bias=self.cls_bias if stream is None else None,
                    dtype=tokens.dtype)
                seen = tokens if stream is None else stream.tokens
                regions = region_step(block, regions, seen, bias)
            if stream is not None:
                stream.step(block)
            tokens = block(tokens)
        return tokens, regions

    def _check(self, blocks: Sequence[nn.Module], tokens: Tensor,
               ids: Tensor) -> None:
        if not -len(blocks) <= self.start_layer < len(blocks):
            raise ValueError('`start_layer` must be the index of one of '
                             f'{len(blocks)} layers, got {self.start_layer}')
        if ids.shape != (len(tokens), tokens.shape[1] - 1):
            raise ValueError(
                f'`ids` must have shape {(len(tokens), tokens.shape[1] - 1)},'
                f' one id per patch, got {tuple(ids.shape)}')
        for block in blocks:
            check_block(block)


class Patches:
    """Patch tokens that attend only to patches of their own region.

    They pass through the layers beside the ordinary patch tokens.
    """

    def __init__(self, tokens: Tensor, ids: Tensor) -> None:
        self.tokens = tokens[:, 1:]
        self.bias = confinement_bias(ids, tokens.dtype)[:, None]

    def step(self, block: nn.Module) -> None:
        """Apply a layer to the patch tokens."""
        query, key, value = project(block.attn, block.ln_1(self.tokens))
        self.tokens = finish(
            block, self.tokens,
            scaled_dot_product_attention(
                query, key, value, attn_mask=self.bias.to(query.dtype)))


def region_step(block: nn.Module, regions: Tensor, tokens: Tensor,
                bias: Tensor) -> Tensor:
    """Apply a layer to region tokens; each attends to itself and `tokens`.

    Args:
        block: Layer; see :meth:`MaskedRegionEncoder.forward`.
        regions: Region tokens (B, K, W).
        tokens: Input (B, T, W) of the same layer.
        bias: Bias (B, K, 1 + T) on the logits of the region token itself and
            of the T tokens.

    Returns:
        The updated region tokens (B, K, W).
    """
    own = project(block.attn, block.ln_1(regions))
    _, keys, values = project(block.attn, block.ln_1(tokens))
    return finish(block, regions, region_attention(*own, keys, values, bias))


def project(attn: nn.MultiheadAttention,
            tokens: Tensor) -> Tuple[Tensor, ...]:
    """Return queries, keys and values (B, heads, N, W / heads)."""
    joint = linear(tokens, attn.in_proj_weight, attn.in_proj_bias)
    heads = joint.unflatten(2, (3, attn.num_heads, -1))
    return heads.permute(2, 0, 3, 1, 4).unbind(0)


def finish(block: nn.Module, tokens: Tensor, attended: Tensor) -> Tensor:
    """Add the outputs of the attention and of the MLP to tokens (B, N, W).

    `attended` holds the outputs (B, heads, N, W / heads) of the heads.
    """
    read = block.attn.out_proj(attended.transpose(1, 2).flatten(2))
    tokens = tokens + _scaled(block, 'ls_1', read)
    return tokens + _scaled(block, 'ls_2', block.mlp(block.ln_2(tokens)))


def _scaled(block: nn.Module, name: str, update: Tensor) -> Tensor:
    scale: Optional[nn.Module] = getattr(block, name, None)
    return update if scale is None else scale(update)


def check_block(block: nn.Module) -> None:
    """Raise an error unless the encoder supports this kind of layer."""
    attn = getattr(block, 'attn', None)
    if not isinstance(attn, nn.MultiheadAttention):
        raise TypeError(
            'a layer must have an `attn` that is a nn.MultiheadAttention, '
            f'got {type(attn).__name__} in {type(block).__name__}')
    if not attn.batch_first or attn.in_proj_weight is None:
        raise ValueError(
            'the `attn` of a layer must be batch first with one width for '
            'queries, keys and values, as in open_clip_torch 3')


def build_regions(regions: Optional[dict]) -> Optional[nn.Module]:
    """Build a region encoder from a config without `type`."""
    if regions is None:
        return None
    return MODELS.build({'type': 'mmpixsort.MaskedRegionEncoder', **regions})
