"""Candidate elimination (Ye et al., OSTrack, ECCV 2022): search tokens that no template looks at leave the sequence.

A block ranks the search tokens by the attention that the centre token of each template pays them (mean over heads and
templates), passes the best on, and the backbone puts zeros where the others were. Only those few rows of the attention
matrix are ever computed, so the fused kernel still does the mixing.

Shapes: B batch, N tokens, C token width, K kept search tokens, L tokens per template.
"""

import math

import torch
import torch.nn.functional as F
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import Tensor


def kept_count(tokens: int, keep: float) -> int:
    """How many of `tokens` a block passes on: the share `keep`, rounded up (published counts: 256, 180, 126, 89)."""
    return math.ceil(tokens * keep - 1e-9)


def eliminating_block(
    block: Block, tokens_BNC: Tensor, template_tokens: int, centre: int, first: int, keep: float
) -> tuple[Tensor, Tensor]:
    """One transformer block that drops search tokens between its attention and its MLP.

    Args:
        block: timm block with plain attention.
        tokens_BNC: [query | templates | search].
        template_tokens: L.
        centre: index of a template's centre token among its L.
        first: index of the first search token, `1 + T · L`.
        keep: share of the search tokens that stay, in 0..1.

    Returns: the shorter sequence, and the kept search tokens' indices `[B, K]` (int64, rising) among those that came.
    """
    attention = block.attn
    assert isinstance(attention, Attention)
    b, n, c = tokens_BNC.shape
    qkv = attention.qkv(block.norm1(tokens_BNC))
    q, k, v = qkv.reshape(b, n, 3, attention.num_heads, attention.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
    q, k = attention.q_norm(q), attention.k_norm(k)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
    tokens_BNC = tokens_BNC + block.drop_path1(block.ls1(attention.proj(mixed)))

    with torch.no_grad():
        probes = q[:, :, 1 + centre : first : template_tokens].float()
        attended = (probes @ k.float().transpose(-1, -2) * attention.scale).softmax(-1)
        rank = attended[..., first:].mean((1, 2))
        kept_BK = rank.topk(kept_count(n - first, keep), dim=1).indices.sort(dim=1).values
    search = tokens_BNC[:, first:].gather(1, kept_BK[:, :, None].expand(-1, -1, c))
    tokens_BNC = torch.cat((tokens_BNC[:, :first], search), dim=1)
    return tokens_BNC + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens_BNC)))), kept_BK


def restore(kept_tokens_BKC: Tensor, kept_BK: Tensor, count: int) -> Tensor:
    """`[B, count, C]`: the kept tokens at their places, zeros where tokens were dropped."""
    b, _, c = kept_tokens_BKC.shape
    places = kept_BK[:, :, None].expand(-1, -1, c)
    return kept_tokens_BKC.new_zeros(b, count, c).scatter(1, places, kept_tokens_BKC)
