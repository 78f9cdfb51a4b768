# SPDX-License-Identifier: MIT
"""Residual networks and vision transformers, plain and with Gramian heads, in plain PyTorch, textbook form: the rivals of the benchmarks
and the oracle of compare.py. families.py has the networks with trunks of their own. All return the list of the logits of their heads.

State-dict names and layouts are those of gram's weight files."""
import torch
import torch.nn.functional as F
from torch import nn


fused_attention = False  # whether softmax attention is PyTorch's own kernel or the textbook's three lines


def attend(q, k, v):
    """softmax(q k^T / sqrt(d)) v; q, k, v (B, heads, tokens, d)."""
    if fused_attention:
        return F.scaled_dot_product_attention(q, k, v)
    return (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1) @ v


def conv(i, o, k=1, stride=1, groups=1, bias=False):
    return nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=bias)


class SqueezeExcite(nn.Module):
    def __init__(self, width, reduced):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, reduced, 1), nn.Conv2d(reduced, width, 1)

    def forward(self, x):
        s = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(s))))


class Bottleneck(nn.Module):
    def __init__(self, i, width, o, stride=1, reduced=0, downsample=None):
        super().__init__()
        self.conv1, self.bn1 = conv(i, width), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, o), nn.BatchNorm2d(o)
        self.se = SqueezeExcite(width, reduced) if reduced else nn.Identity()
        self.downsample = downsample

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.se(F.relu(self.bn2(self.conv2(y))))
        return F.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut takes every second pixel and pads channels with zeros (option A)."""

    def __init__(self, i, width, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv(i, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.stride, self.grow = stride, width - i

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.grow:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.grow // 2, self.grow - self.grow // 2))
        return F.relu(y + x)


class ClassAttention(nn.Module):
    def __init__(self, c, e, heads=8):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(c, e, bias=False) for _ in range(3))
        self.proj, self.heads = nn.Linear(e, c), heads

    def forward(self, u):
        b, n, _ = u.shape
        split = lambda t: t.reshape(b, -1, self.heads, t.shape[-1] // self.heads).transpose(1, 2)
        q, k, v = split(self.q(u[:, :1])), split(self.k(u)), split(self.v(u))
        return self.proj(attend(q, k, v).transpose(1, 2).reshape(b, 1, -1))


class GroupedMlp(nn.Module):
    def __init__(self, c, hidden, groups):
        super().__init__()
        self.fc1, self.fc2, self.groups = nn.Conv2d(c, hidden, 1, groups=groups), nn.Conv2d(hidden, c, 1, groups=groups), groups

    def forward(self, x):  # (B, N, C)
        y = F.gelu(self.fc1(x.transpose(1, 2)[..., None]))
        b, c, n, _ = y.shape
        y = y.reshape(b, c // self.groups, self.groups, n, 1).transpose(1, 2).reshape(b, c, n, 1)
        return self.fc2(y)[..., 0].transpose(1, 2)


class LayerScaleBlock(nn.Module):
    def __init__(self, c, e, ratio, groups):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.attn, self.mlp = ClassAttention(c, e), GroupedMlp(c, ratio * c, groups)
        self.gamma_1, self.gamma_2 = (nn.Parameter(1e-4 * torch.ones(c)) for _ in range(2))

    def forward(self, token, tokens):
        token = token + self.gamma_1 * self.attn(self.norm1(torch.cat([token, tokens], 1)))
        return token + self.gamma_2 * self.mlp(self.norm2(token))


class Heads(nn.Module):
    """Mixed into a network, so that the names have no prefix. layer() makes what lies between contraction and Gram matrix, if anything."""

    def add_heads(self, heads, classes, c, g, cg, eg, e, ratio, groups, layer=nn.Identity):
        k = g * (g + 1) // 2
        self.gram_contraction = nn.ModuleList(nn.Sequential(conv(c, g, groups=cg, bias=True), nn.BatchNorm2d(g)) for _ in range(heads))
        self.gram_layer = nn.ModuleList(layer() for _ in range(heads))
        self.gram_embedding = nn.ModuleList(nn.Sequential(conv(k, c, groups=eg, bias=True), nn.BatchNorm2d(c)) for _ in range(heads))
        self.ga = nn.ModuleList(LayerScaleBlock(c, e, ratio, groups) for _ in range(heads))
        self.fc = nn.ModuleList(nn.Linear(c, classes) for _ in range(heads))
        rows, columns = torch.triu_indices(g, g)
        self.register_buffer("upper", rows * g + columns, persistent=False)  # goes where the weights go

    def head(self, i, x):
        f = self.gram_layer[i](self.gram_contraction[i](x))
        b, g, h, w = f.shape
        f = (f / h).flatten(2)
        gram = (f @ f.transpose(1, 2) / (h * w)).flatten(1).index_select(1, self.upper)
        token = self.gram_embedding[i](F.normalize(gram)[..., None, None])[..., 0].transpose(1, 2)
        return self.fc[i](self.ga[i](token, x.flatten(2).transpose(1, 2))[:, 0])


class GaCifar(Heads):
    def __init__(self, depth=29, heads=1, cardinality=8, dim=128, classes=100, bottleneck=True):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 16, 3), nn.BatchNorm2d(16)
        blocks, i, features = (depth - 2) // (9 if bottleneck else 6), 16, 0
        for stage, width in enumerate((16, 32, 64), 1):
            layer, o = nn.ModuleList(), width * (4 if bottleneck else 1)
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 1 else 1
                down = nn.Sequential(conv(i, o, 1, stride), nn.BatchNorm2d(o)) if block == 0 else None
                layer.append(Bottleneck(i, width, o, stride, downsample=down) if bottleneck else BasicBlock(i, width, stride))
                i, features = o, features + o
            setattr(self, f"layer{stage}", layer)
        self.aggregate = nn.ModuleList(
            nn.Sequential(conv(features, dim, groups=cardinality), nn.BatchNorm2d(dim), nn.ReLU()) for _ in range(heads))
        self.add_heads(heads, classes, dim, g=16, cg=8, eg=8, e=8, ratio=1, groups=8)

    def forward(self, x):
        x, features = F.relu(self.bn1(self.conv1(x))), []
        for layer in (self.layer1, self.layer2, self.layer3):
            for block in layer:
                x = block(x)
                features.append(F.adaptive_avg_pool2d(x, 8))
        pooled = torch.cat(features, 1)
        return [self.head(i, aggregate(pooled)) for i, aggregate in enumerate(self.aggregate)]


class ResNetTrunk(nn.Module):
    """Stem and four stages of bottlenecks -> the maps of the stages. deep: ResNet-D, three 3x3 convolutions in the stem and average
    pooling in the shortcuts; reduced: widths of squeeze-and-excitation."""

    def __init__(self, widths=(64, 128, 256, 512), outputs=(256, 512, 1024, 2048), reduced=(0, 0, 0, 0), deep=False):
        super().__init__()
        deep_stem = lambda: nn.Sequential(conv(3, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU(), conv(32, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), conv(32, 64, 3))
        self.conv1 = deep_stem() if deep else conv(3, 64, 7, 2)
        self.bn1, i = nn.BatchNorm2d(64), 64
        for stage, (n, width, o, r) in enumerate(zip((3, 4, 6, 3), widths, outputs, reduced), 1):
            layer = nn.ModuleList()
            for block in range(n):
                stride = 2 if block == 0 and stage > 1 else 1
                pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride == 2 else nn.Identity()
                down = [pool, conv(i, o), nn.BatchNorm2d(o)] if deep else [conv(i, o, 1, stride), nn.BatchNorm2d(o)]
                layer.append(Bottleneck(i, width, o, stride, r, nn.Sequential(*down) if block == 0 else None))
                i = o
            setattr(self, f"layer{stage}", layer)

    def maps(self, x):
        x, maps = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1), []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x = block(x)
            maps.append(x)
        return maps


class ResNet50(ResNetTrunk):
    def __init__(self, classes=1000, deep=False):
        super().__init__(deep=deep)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x):
        return [self.fc(self.maps(x)[3].mean((2, 3)))]


def aggregate(low, middle, high):
    """Maps of several sizes side by side at the size of the middle ones."""
    size = middle[0].shape[-2:]
    return torch.cat([*(F.adaptive_avg_pool2d(x, size) for x in low), *middle, F.interpolate(high, size=size, mode="bilinear", align_corners=False)], 1)


class GaResNet50(ResNetTrunk, Heads):
    def __init__(self, heads=5, classes=1000):
        super().__init__(widths=(64, 128, 256, 256), outputs=(256, 512, 1024, 1024), reduced=(8, 16, 32, 32), deep=True)
        self.fuse = Bottleneck(2816, 256, 1024, 1, 64, nn.Sequential(conv(2816, 1024), nn.BatchNorm2d(1024)))
        self.add_heads(heads, classes, 1024, g=128, cg=8, eg=16, e=256, ratio=4, groups=4)

    def forward(self, x):
        a, b, c, d = self.maps(x)
        fused = self.fuse(aggregate([a, b], [c], d))
        return [self.head(i, fused) for i in range(len(self.fc))]


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.proj(attend(q, k, v).transpose(1, 2).reshape(b, n, d))


class Mlp(nn.Module):
    def __init__(self, d, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, hidden), nn.Linear(hidden, d)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, d, heads, ratio=4):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d, eps=1e-6), nn.LayerNorm(d, eps=1e-6)
        self.attn, self.mlp = Attention(d, heads), Mlp(d, ratio * d)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, d, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, d, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    def __init__(self, size=224, patch=16, d=384, depth=12, attention_heads=6, classes=1000):
        super().__init__()
        self.patch_embed, self.cls_token = PatchEmbed(d, patch), nn.Parameter(torch.zeros(1, 1, d))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2 + 1, d))
        self.blocks = nn.Sequential(*(Block(d, attention_heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(d, eps=1e-6), nn.Linear(d, classes)

    def forward(self, x):
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], 1) + self.pos_embed
        return [self.head(self.norm(self.blocks(x))[:, 0])]


class GaViT(Heads):
    def __init__(self, size=224, patch=16, d=384, depth=12, attention_heads=6, heads=5, classes=1000, eg=24, g=96, cg=8, e=None):
        super().__init__()
        self.side = size // patch
        self.patch_embed, self.pos_embed = PatchEmbed(d, patch), nn.Parameter(0.02 * torch.randn(1, self.side**2, d))
        self.blocks = nn.Sequential(*(Block(d, attention_heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(d, eps=1e-6)
        self.add_heads(heads, classes, d, g=g, cg=cg, eg=eg, e=e or d // 4, ratio=4, groups=2)

    def forward(self, x):
        x = self.norm(self.blocks(self.patch_embed(x) + self.pos_embed))
        x = x.transpose(1, 2).unflatten(2, (self.side, self.side))
        return [self.head(i, x) for i in range(len(self.fc))]
