"""One-stream backbone: a timm ViT whose tokens are [query | templates | search] in one joint self-attention.

Shapes: B batch, T templates, N tokens, C token width, H W pixels, h w cells.
"""

from typing import cast

import timm
import torch
import torch.nn.functional as F
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from sstrack.configs.net import NetConfig
from sstrack.models.elimination import eliminating_block, restore

_MIMETIC_SCALE = 0.3
"""About the spread of patch tokens at the start. With position and identity vectors ten times smaller a fresh network
needed twice the steps to learn that templates matter."""


class OneStreamBackbone(nn.Module):
    """Token mixer. Template and search share the patch embedding and every block; each kind of token has its own
    position table (resized from the ViT's) and one identity vector, as DropMAE has."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        vit = timm.create_model(
            config.vit,
            pretrained=False,
            img_size=config.search_size,
            patch_size=config.patch,
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.heads,
            drop_path_rate=config.drop_path,
            num_classes=0,
            global_pool="",
            dynamic_img_size=True,
        )
        if not isinstance(vit, VisionTransformer) or vit.pos_embed is None or vit.cls_token is None:
            raise ValueError(f"net.vit = {config.vit!r}: needs a timm VisionTransformer with a class token")
        if vit.num_prefix_tokens != 1 or not isinstance(vit.norm_pre, nn.Identity):
            raise ValueError(
                f"net.vit = {config.vit!r}: register tokens and a norm before the blocks have no place here"
            )
        self.width = config.width
        self.grid = config.search_size // config.patch
        self.template_grid = config.template_size // config.patch
        self.patch_embed = vit.patch_embed
        self.blocks = vit.blocks
        self.norm = vit.norm
        self.eliminate_at = elimination_blocks(config.depth)
        self.query = nn.Parameter(vit.cls_token.detach()[0])
        table = vit.pos_embed.detach()
        self.query_position = nn.Parameter(table[0, :1].clone())
        grid = table[0, 1:].reshape(self.grid, self.grid, -1)
        if config.init == "mimetic":
            grid = _MIMETIC_SCALE * build_sincos2d_pos_embed([self.grid, self.grid], config.width).view_as(grid)
        self.search_position = nn.Parameter(resize_table(grid, self.grid))
        self.template_position = nn.Parameter(resize_table(grid, self.template_grid))
        spread = _MIMETIC_SCALE if config.init == "mimetic" else 0.02
        self.template_identity = nn.Parameter(torch.randn(config.width) * spread)
        self.search_identity = nn.Parameter(torch.randn(config.width) * spread)
        if config.mark_target:
            self.target_identity = nn.Parameter(torch.randn(config.width) * spread)
        if config.init == "mimetic":
            for block in self.blocks:
                start_mimetic(cast(nn.Module, block.attn))

    def embed(self, x_BCHW: Tensor) -> Tensor:
        """Patch tokens `[B, N, C]` of an image batch."""
        tokens = self.patch_embed(x_BCHW)
        return tokens.flatten(1, 2) if tokens.dim() == 4 else tokens

    def forward(
        self,
        templates_BTCHW: Tensor,
        search_BCHW: Tensor,
        carried_BC: Tensor | None,
        keep: float = 1.0,
        marks_BTHW: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Mix the tokens.

        Args:
            templates_BTCHW: `[B, T, 3, H, W]`, normalised.
            search_BCHW: `[B, 3, H, W]`, normalised.
            carried_BC: `[B, C]` query output of the frame before, or None at the start of a sequence or sample.
            keep: share of the search tokens that each eliminating block passes on; 1 keeps all.
            marks_BTHW: `[B, T, H, W]` in 0..1, how much of each template pixel is the target's, for a network that was
                made with `mark_target`; a token is told its mean.

        Returns: query output `[B, C]` and search tokens `[B, N, C]`, after the final norm, zeros where a search
        token was eliminated.
        """
        b = templates_BTCHW.shape[0]
        z = self.embed(templates_BTCHW.flatten(0, 1)) + self.template_position + self.template_identity
        if marks_BTHW is not None:
            share = F.adaptive_avg_pool2d(marks_BTHW.flatten(0, 1), self.template_grid).flatten(1)
            z = z + share[..., None] * self.target_identity
        x = self.embed(search_BCHW) + self.search_position + self.search_identity
        query = self.query.expand(b, -1, -1)
        if carried_BC is not None:
            query = query + carried_BC[:, None]
        tokens = torch.cat((query + self.query_position, z.reshape(b, -1, self.width), x), dim=1)
        per_template, count = z.shape[1], x.shape[1]
        first = tokens.shape[1] - count
        centre = ((self.template_grid - 1) // 2) * (self.template_grid + 1)
        left: Tensor | None = None
        for position, block in enumerate(self.blocks):
            if keep < 1 and position in self.eliminate_at:
                tokens, kept = eliminating_block(cast(Block, block), tokens, per_template, centre, first, keep)
                left = kept if left is None else left.gather(1, kept)
            else:
                tokens = block(tokens)
        tokens = self.norm(tokens)
        search = tokens[:, first:]
        return tokens[:, 0], search if left is None else restore(search, left, count)


def spell_out_attention(backbone: OneStreamBackbone) -> None:
    """Let attention be separate matrix products, in place: on a CPU in bf16 the backward pass of torch's fused one
    takes twice as long (with 150 tokens, a training step as a whole 20 % longer)."""
    for block in backbone.blocks:
        cast(Block, block).attn.fused_attn = False  # pyright: ignore[reportArgumentType]  timm calls it final


def elimination_blocks(depth: int) -> tuple[int, ...]:
    """Indices of the blocks that eliminate: 3, 6 and 9 of 12 as published, the same quarters of other depths."""
    return tuple(sorted({depth * quarter // 4 for quarter in (1, 2, 3)}))


def resize_table(grid_hwC: Tensor, side: int) -> Tensor:
    """A position grid `[h, w, C]` resampled to `[side * side, C]` (bicubic, antialiased)."""
    image = grid_hwC.permute(2, 0, 1)[None]
    if image.shape[-1] != side:
        image = F.interpolate(image, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return image[0].flatten(1).T.contiguous().clone()


@torch.no_grad()
def start_mimetic(attention: nn.Module, qk: float = 0.7, vp: float = 0.4, noise: float = 0.7) -> None:
    """Start one timm attention so that tokens attend to tokens like themselves and partly pass them on negated.

    Sets, per head, query and key projections whose product is near `qk · identity + noise`, and value and output
    projections whose product is near `-vp · identity + noise` (Trockman & Kolter, "Mimetic initialization of
    self-attention layers", ICML 2023).
    """
    qkv, proj = cast(nn.Linear, attention.qkv), cast(nn.Linear, attention.proj)
    heads = cast(int, attention.num_heads)
    width = qkv.in_features
    rank = width // heads
    for head in range(heads):
        target = qk * torch.eye(width) + noise * torch.randn(width, width) / width**0.5
        u, s, v = torch.linalg.svd(target)
        root = s[:rank].sqrt()
        rows = slice(head * rank, (head + 1) * rank)
        qkv.weight[:width][rows] = (u[:, :rank] * root).T
        qkv.weight[width : 2 * width][rows] = root[:, None] * v[:rank]
    target = -vp * torch.eye(width) + noise * torch.randn(width, width) / width**0.5
    u, s, v = torch.linalg.svd(target)
    qkv.weight[2 * width :] = s.sqrt()[:, None] * v
    proj.weight.copy_(u * s.sqrt())
