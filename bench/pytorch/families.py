# SPDX-License-Identifier: MIT
"""GA-ConvNeXt (arXiv:2310.16483), GA-CSWin (the same; arXiv:2107.00652), GroupMixFormer (arXiv:2311.15157) and Refiner-ViT
(arXiv:2106.03714) in plain PyTorch, textbook form. State-dict names and layouts are those of gram's weight files."""
from collections import OrderedDict

import torch
import torch.nn.functional as F
from networks import Bottleneck, GroupedMlp, Heads, Mlp, aggregate, attend, conv
from torch import nn


class ChannelNorm(nn.LayerNorm):
    """Layer norm of the channels of every pixel, (B, C, H, W)."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def intermediates(blocks, count):
    """After which blocks (from 1) of a long stage the map is kept for the aggregation."""
    step = blocks // (count + 1)
    return [step * (i + 1) for i in range(count)]


# GA-ConvNeXt


class ConvNextBlock(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.gamma = nn.Parameter(1e-6 * torch.ones(d))
        self.conv_dw, self.norm, self.mlp = conv(d, d, 7, groups=d, bias=True), nn.LayerNorm(d, eps=1e-6), Mlp(d, 4 * d)

    def forward(self, x):
        y = self.gamma * self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        return x + y.permute(0, 3, 1, 2)


class ConvNextStage(nn.Module):
    def __init__(self, i, d, depth):
        super().__init__()
        self.downsample = nn.Identity() if i == d else nn.Sequential(ChannelNorm(i, eps=1e-6), nn.Conv2d(i, d, 2, 2))
        self.blocks = nn.ModuleList(ConvNextBlock(d) for _ in range(depth))

    def forward(self, x, keep=()):
        """The map after the last block, behind those after the blocks to keep."""
        x, kept = self.downsample(x), []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in keep:
                kept.append(x)
        return [*kept, x]


class ConvNextGramLayer(nn.Module):
    def __init__(self, g):
        super().__init__()
        self.blocks = nn.Sequential(ConvNextBlock(g))

    def forward(self, x):
        return self.blocks(x)


class GaConvNext(Heads):
    def __init__(self, depths=(3, 3, 9, 3), dims=(96, 192, 384, 768), c=768, reduced=48, e=192, kept=2, heads=5, classes=1000):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, 4), ChannelNorm(dims[0], eps=1e-6))
        self.stages = nn.ModuleList(ConvNextStage(i, d, depth) for i, d, depth in zip((dims[0], *dims), dims, depths))
        s = sum(dims) + kept * dims[2]
        self.stages.append(Bottleneck(s, c // 4, c, 1, reduced, nn.Sequential(conv(s, c, bias=True), nn.BatchNorm2d(c))))
        self.keep = intermediates(depths[2], kept)
        self.add_heads(heads, classes, c, g=192, cg=1, eg=8, e=e, ratio=4, groups=4, layer=lambda: ConvNextGramLayer(192))

    def forward(self, x):
        (a,) = self.stages[0](self.stem(x))
        (b,) = self.stages[1](a)
        third = self.stages[2](b, self.keep)
        (d,) = self.stages[3](third[-1])
        fused = self.stages[4](aggregate([a, b], third, d))
        return [self.head(i, fused) for i in range(len(self.fc))]


# GA-CSWin. Maps are (B, H, W, C) between the blocks: tokens in row-major order.


class StripeAttention(nn.Module):
    """Attention inside windows, plus a depthwise convolution of the values that sees zeros outside its window."""

    def __init__(self, c, heads, window):
        super().__init__()
        self.get_v, self.heads, self.window = conv(c, c, 3, groups=c, bias=True), heads, window

    def forward(self, q, k, v):
        b, height, width, c = q.shape
        h, w = self.window
        split = lambda t: t.reshape(b, height // h, h, width // w, w, c).transpose(2, 3).reshape(-1, h, w, c)
        q, k, v = split(q), split(k), split(v)
        position = self.get_v(v.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        tokens = lambda t: t.reshape(len(t), h * w, self.heads, -1).transpose(1, 2)
        y = attend(tokens(q), tokens(k), tokens(v)).transpose(1, 2).reshape(position.shape) + position
        return y.reshape(b, height // h, width // w, h, w, c).transpose(2, 3).reshape(b, height, width, c)


class MapMlp(GroupedMlp):
    """The grouped MLP of the heads on maps (B, H, W, C)."""

    def forward(self, x):
        return super().forward(x.flatten(1, 2)).reshape(x.shape)


class CswinBlock(nn.Module):
    def __init__(self, c, heads, size, split, groups=1):
        super().__init__()
        self.norm1, self.norm2, self.qkv, self.proj = nn.LayerNorm(c), nn.LayerNorm(c), nn.Linear(c, 3 * c), nn.Linear(c, c)
        windows = [(size, size)] if size == split else [(size, split), (split, size)]
        self.attns = nn.ModuleList(StripeAttention(c // len(windows), heads // len(windows), window) for window in windows)
        self.mlp = Mlp(c, 4 * c) if groups == 1 else MapMlp(c, 4 * c, groups)

    def forward(self, x):
        thirds = [t.chunk(len(self.attns), -1) for t in self.qkv(self.norm1(x)).chunk(3, -1)]
        x = x + self.proj(torch.cat([attention(*qkv) for attention, *qkv in zip(self.attns, *thirds)], -1))
        return x + self.mlp(self.norm2(x))


class Merge(nn.Module):
    """A convolution and layer norm; with maps of channels in, (B, H, W, C) out."""

    def __init__(self, i, o, k, stride=1):
        super().__init__()
        self.conv, self.norm = conv(i, o, k, stride, bias=True), nn.LayerNorm(o)

    def forward(self, x):
        return self.norm(self.conv(x).permute(0, 2, 3, 1))


class CswinGramLayer(nn.Module):
    def __init__(self, g):
        super().__init__()
        self.add_module("1", CswinBlock(g, 6, 14, 7))

    def forward(self, x):
        return getattr(self, "1")(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GaCswin(Heads):
    def __init__(self, depths=(1, 2, 21, 1), attention_heads=(2, 4, 8, 16), splits=(1, 2, 7, 7), kept=1, fusion_groups=2, heads=5, classes=1000):
        super().__init__()
        dims, sizes = (64, 128, 256, 512), (56, 28, 14, 7)
        stem = {"0": conv(3, 64, 3, 2), "2": ChannelNorm(64), "4": nn.GELU(), "5": conv(64, 64, 3), "7": ChannelNorm(64), "9": nn.GELU(),
                "10": conv(64, 64, 3, 2), "12": ChannelNorm(64)}
        self.stage1_conv_embed = nn.Sequential(OrderedDict(stem))
        for i, (c, size, depth) in enumerate(zip(dims, sizes, depths)):
            setattr(self, f"stage{i + 1}", nn.ModuleList(CswinBlock(c, attention_heads[i], size, splits[i]) for _ in range(depth)))
            if i < 3:
                setattr(self, f"merge{i + 1}", Merge(c, dims[i + 1], 3, 2))
        fusion = {"1": Merge(sum(dims) + kept * dims[2], 512, 1), "2": CswinBlock(512, 16, 14, 7, fusion_groups)}
        self.stage5 = nn.Sequential(OrderedDict(fusion))
        self.keep = intermediates(depths[2], kept)
        self.add_heads(heads, classes, 512, g=192, cg=8, eg=8, e=128, ratio=4, groups=2, layer=lambda: CswinGramLayer(192))

    def forward(self, x):
        x, maps = self.stage1_conv_embed(x).permute(0, 2, 3, 1), []
        for stage in (1, 2, 3, 4):
            kept = []
            for number, block in enumerate(getattr(self, f"stage{stage}"), 1):
                x = block(x)
                if stage == 3 and number in self.keep:
                    kept.append(x.permute(0, 3, 1, 2))
            y = x.permute(0, 3, 1, 2)
            maps.append([*kept, y])
            if stage < 4:
                x = getattr(self, f"merge{stage}")(y)
        (a,), (b,), third, (d,) = maps
        fused = self.stage5(aggregate([a, b], third, d)).permute(0, 3, 1, 2)
        return [self.head(i, fused) for i in range(len(self.fc))]


# GroupMixFormer. Maps are (B, H, W, C) inside the attention, (B, C, H, W) around convolutions.


class Separable(nn.Module):
    def __init__(self, i, o, k, stride=1):
        super().__init__()
        self.conv1, self.pointwise_conv = conv(i, i, k, stride, groups=i), conv(i, o)

    def forward(self, x):
        return self.pointwise_conv(self.conv1(x))


class LocalBranch(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.conv, self.norm = Separable(3 * s, s, 3), nn.LayerNorm(s)

    def forward(self, x):
        return F.hardswish(self.norm(self.conv(x).permute(0, 2, 3, 1)))


class Aggregator(nn.Module):
    """q, k and v, one behind the other in the batch -> their four segments of neighbourhoods, and the local branch of the fifth."""

    def __init__(self, s):
        super().__init__()
        self.norm0, self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(s) for _ in range(4))
        self.agg0 = LocalBranch(s)
        self.agg1, self.agg2, self.agg3 = Separable(s, s, 3), Separable(s, s, 5), Separable(s, s, 7)

    def forward(self, x):
        a, b, c, d, local = x.chunk(5, 1)
        groups = [self.norm0(a), self.norm1(self.agg1(b)), self.norm2(self.agg2(c)), self.norm3(self.agg3(d))]
        return F.hardswish(torch.cat(groups, 1)), self.agg0(torch.cat(local.chunk(3), 1))


class RelativePosition(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.widths = [2 * c, 3 * c, 3 * c]
        self.conv_list = nn.ModuleList(conv(width, width, k, groups=width, bias=True) for width, k in zip(self.widths, (3, 5, 7)))

    def forward(self, v):
        return torch.cat([f(x) for f, x in zip(self.conv_list, v.split(self.widths, 1))], 1)


class GroupMixAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.qkv, self.proj, self.scale = nn.Linear(c, 3 * c), nn.Linear(c, c), (c / 8) ** -0.5
        self.aggregator, self.crpe = Aggregator(c // 5), RelativePosition(c // 10)

    def forward(self, x):  # (B, H, W, C)
        q, k, v = self.qkv(x).permute(0, 3, 1, 2).chunk(3, 1)
        groups, local = self.aggregator(torch.cat([q, k, v]))
        q, k, v = groups.chunk(3)
        heads = lambda t: t.unflatten(1, (8, -1)).flatten(3)  # (B, 8, channels, tokens)
        context = heads(k).softmax(-1) @ heads(v).transpose(-2, -1)
        y = self.scale * (context.transpose(-2, -1) @ heads(q))
        y = y.reshape(q.shape) + q * self.crpe(v)
        return self.proj(torch.cat([y.permute(0, 2, 3, 1), local], -1))


class ConvPosition(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.proj = conv(c, c, 3, groups=c, bias=True)

    def forward(self, x):
        return x + self.proj(x)


class GroupMixBlock(nn.Module):
    def __init__(self, c, ratio):
        super().__init__()
        self.cpe, self.att, self.mlp = ConvPosition(c), GroupMixAttention(c), Mlp(c, ratio * c)
        self.norm1, self.norm2 = nn.LayerNorm(c, eps=1e-6), nn.LayerNorm(c, eps=1e-6)

    def forward(self, x):  # (B, C, H, W)
        x = self.cpe(x).permute(0, 2, 3, 1)
        x = x + self.att(self.norm1(x))
        return (x + self.mlp(self.norm2(x))).permute(0, 3, 1, 2)


class GroupMixStem(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.proj1, self.norm1 = conv(3, c // 2, 3, 2, bias=True), nn.BatchNorm2d(c // 2)
        self.proj2, self.norm2 = conv(c // 2, c, 3, 2, bias=True), nn.BatchNorm2d(c)

    def forward(self, x):
        return F.hardswish(self.norm2(self.proj2(F.hardswish(self.norm1(self.proj1(x))))))


class GroupMixEmbedding(nn.Module):
    def __init__(self, i, c, stride):
        super().__init__()
        self.proj, self.norm = Separable(i, c, 3, stride), nn.BatchNorm2d(c)

    def forward(self, x):
        return F.hardswish(self.norm(self.proj(x)))


class GroupMixStage(nn.Module):
    def __init__(self, c, depth, ratio):
        super().__init__()
        self.gma_stage = nn.Sequential(*(GroupMixBlock(c, ratio) for _ in range(depth)))

    def forward(self, x):
        return self.gma_stage(x)


class GroupMixFormer(nn.Module):
    def __init__(self, dims=(80, 160, 200, 240), depths=(4, 4, 12, 4), ratios=(4, 4, 4, 4), classes=1000):
        super().__init__()
        self.conv_stem = GroupMixStem(dims[0])
        self.patch_embed_layers = nn.ModuleList(GroupMixEmbedding(i, c, 1 + (s > 0)) for s, (i, c) in enumerate(zip((dims[0], *dims), dims)))
        self.groupmixformer_backbone = nn.ModuleList(map(GroupMixStage, dims, depths, ratios))
        self.norm4, self.head = nn.BatchNorm2d(dims[3]), nn.Linear(dims[3], classes)

    def forward(self, x):
        x = self.conv_stem(x)
        for embed, stage in zip(self.patch_embed_layers, self.groupmixformer_backbone):
            x = stage(embed(x))
        return [self.head(self.norm4(x).mean((2, 3)))]


# Refiner-ViT


class RefinerStem(nn.Module):
    def __init__(self, d, patch):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 32, 7, 2), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = conv(32, 64, 3), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = conv(64, 128, 3), nn.BatchNorm2d(128)
        self.proj = nn.Conv2d(128, d, patch // 2, patch // 2)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return self.proj(F.relu(self.bn3(self.conv3(x)))).flatten(2).transpose(1, 2)


class LocalAttention(nn.Module):
    """Maps of all heads as one image: expanded, convolved channel by channel, projected back."""

    def __init__(self, heads, expansion):
        super().__init__()
        wide = heads * expansion
        self.conv_exp, self.bn1 = conv(heads, wide), nn.BatchNorm2d(wide)
        self.depth_sep_conv, self.bn2 = conv(wide, wide, 3, groups=wide), nn.BatchNorm2d(wide)
        self.conv_pro, self.bn3 = conv(wide, heads), nn.BatchNorm2d(heads)

    def forward(self, a):
        y = F.relu6(self.bn1(self.conv_exp(a)))
        return a + self.bn3(self.conv_pro(F.relu6(self.bn2(self.depth_sep_conv(y)))))


class RefinerAttention(nn.Module):
    """Plain: a map of its own plus a share of the last one. share: values only, mixed by the refined map of the block before.
    Returns the map for the next block, too."""

    def __init__(self, d, heads, share):
        super().__init__()
        self.qkv, self.proj, self.heads, self.share = nn.Linear(d, d if share else 3 * d), nn.Linear(d, d), heads, share
        if share:
            self.DLA, self.adapt_bn = LocalAttention(heads, 3), nn.BatchNorm2d(heads)

    def forward(self, x, a):
        b, n, d = x.shape
        parts = self.qkv(x).reshape(b, n, -1, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scale = (d // self.heads) ** -0.5
        if self.share:
            mix = scale * self.adapt_bn(self.DLA(a))
        else:
            mine = (scale * parts[0] @ parts[1].transpose(-2, -1)).softmax(-1)
            mix = a = mine if a is None else mine + scale * a
        return self.proj((mix @ parts[-1]).transpose(1, 2).reshape(b, n, d)), a


class ScaledMlp(Mlp):
    def __init__(self, d, hidden):
        super().__init__(d, hidden)
        self.scale_channel = nn.Parameter(1e-5 * torch.ones(d))

    def forward(self, x):
        return self.scale_channel * super().forward(x)


class RefinerBlock(nn.Module):
    def __init__(self, d, heads, share, ratio=3, adjust=0.5):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d, eps=1e-6), nn.LayerNorm(d, eps=1e-6)
        self.attn, self.mlp, self.adjust = RefinerAttention(d, heads, share), ScaledMlp(d, ratio * d), adjust

    def forward(self, x, a):
        y, a = self.attn(self.norm1(self.adjust * x), a)
        x = x + y / self.adjust
        return x + self.mlp(self.norm2(self.adjust * x)) / self.adjust, a


class RefinerViT(nn.Module):
    def __init__(self, size=224, patch=16, d=384, depth=16, heads=12, classes=1000):
        super().__init__()
        self.patch_embed, self.cls_token = RefinerStem(d, patch), nn.Parameter(0.02 * torch.randn(1, 1, d))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2 + 1, d))
        self.blocks = nn.ModuleList(RefinerBlock(d, heads, share=i % 2 == 1) for i in range(depth))
        self.norm, self.head = nn.LayerNorm(d, eps=1e-6), nn.Linear(d, classes)

    def forward(self, x):
        x, a = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], 1) + self.pos_embed, None
        for block in self.blocks:
            x, a = block(x, a)
        return [self.head(self.norm(x)[:, 0])]
