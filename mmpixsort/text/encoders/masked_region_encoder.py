"""Region tokens beside the layers of a ViT.

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
    """Recognise all regions of an image at once, each in its context.

    Every region has a token that starts as a copy of CLS and then reads
    itself and the patches under a bias, see
    :mod:`mmpixsort.functional.words.region_attention`. The ordinary tokens
    never read it, so what the tower returns for the image is unchanged.
    Patches see the whole image except with 'isolated'. Has no weights of its
    own.

    A reconstruction of the contextually aware masking of
    https://arxiv.org/abs/2304.01114, whose rule is not published.

    Args:
        context: What a region reads beside itself. 'hard': its patches;
            'soft': the others too, with a bias; 'none': all alike; 'late':
            all alike before `start_layer`, then its patches; 'isolated': its
            patches, which see one another alone: the baseline without
            context, with a stream of patches of its own.
        start_layer: Layer at whose input the tokens are copied from CLS, in
            'late' the first that is confined; negative: from the end, so
            that -3 is the last three, as in SAN. With `cls_bias` at minus
            infinity a token that reads all alike is CLS itself, so 'late' is
            then the same as 'hard'.
        soft_bias: What 'soft' subtracts, 0 or more.
        cls_bias: Bias to CLS; 0: open, minus infinity: closed, as in SAN.

    Raises:
        ValueError: On values out of range, on 'late' from layer 0, and on
            'isolated' with a later start or an open CLS, which would carry
            context.

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
                             "'late', which would be 'hard'")
        if context == 'isolated' and (start_layer != 0 or cls_bias != CLOSED):
            raise ValueError(
                "`start_layer` must be 0 and `cls_bias` minus infinity with "
                "the context 'isolated', since CLS carries context, got "
                f'{start_layer} and {cls_bias}')
        self.context = context
        self.start_layer = start_layer
        self.soft_bias = soft_bias
        self.cls_bias = cls_bias

    def forward(self, blocks: Sequence[nn.Module], tokens: Tensor,
                ids: Tensor, num_regions: int) -> Tuple[Tensor, Tensor]:
        """Run the layers of a tower, and the region tokens beside them.

        Args:
            blocks: Layers like open_clip's `ResidualAttentionBlock`, with
                `ln_1`, `attn` (a `nn.MultiheadAttention`, batch first),
                `ln_2`, `mlp` and maybe `ls_1` and `ls_2`.
            tokens: (B, 1 + P, W), CLS first, the input of the first layer.
            ids: (B, P) integer in [0, K), -1: in no region.
            num_regions: K.

        Returns:
            The ordinary tokens (B, 1 + P, W) and the region tokens
            (B, K, W). That of a region without patches is finite.
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
            raise ValueError(f'`start_layer` must be one of {len(blocks)} '
                             f'layers, got {self.start_layer}')
        if ids.shape != (len(tokens), tokens.shape[1] - 1):
            raise ValueError(
                f'`ids` must have shape {(len(tokens), tokens.shape[1] - 1)},'
                f' one a patch, got {tuple(ids.shape)}')
        for block in blocks:
            check_block(block)


class Patches:
    """The stream of patches that see their own region alone."""

    def __init__(self, tokens: Tensor, ids: Tensor) -> None:
        self.tokens = tokens[:, 1:]
        self.bias = confinement_bias(ids, tokens.dtype)[:, None]

    def step(self, block: nn.Module) -> None:
        """Run a layer on them."""
        query, key, value = project(block.attn, block.ln_1(self.tokens))
        self.tokens = finish(
            block, self.tokens,
            scaled_dot_product_attention(
                query, key, value, attn_mask=self.bias.to(query.dtype)))


def region_step(block: nn.Module, regions: Tensor, tokens: Tensor,
                bias: Tensor) -> Tensor:
    """Run a layer on region tokens that read themselves and other tokens.

    Args:
        block: See :meth:`MaskedRegionEncoder.forward`.
        regions: (B, K, W).
        tokens: (B, T, W), inputs of the same layer.
        bias: (B, K, 1 + T).

    Returns:
        (B, K, W).
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
    """Add to tokens (B, N, W) what their heads read, and what the MLP says.

    `attended` is (B, heads, N, W / heads).
    """
    read = block.attn.out_proj(attended.transpose(1, 2).flatten(2))
    tokens = tokens + _scaled(block, 'ls_1', read)
    return tokens + _scaled(block, 'ls_2', block.mlp(block.ln_2(tokens)))


def _scaled(block: nn.Module, name: str, update: Tensor) -> Tensor:
    scale: Optional[nn.Module] = getattr(block, name, None)
    return update if scale is None else scale(update)


def check_block(block: nn.Module) -> None:
    """Raise unless a layer is of the kind that the encoder can follow."""
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
    """Build the encoder of regions from a config without `type`."""
    if regions is None:
        return None
    return MODELS.build({'type': 'mmpixsort.MaskedRegionEncoder', **regions})
