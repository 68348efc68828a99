"""Networks from their hyperparameters: convolutions, then dense layers."""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from distune.errors import Infeasible
from distune.workloads.hyperparameters import ConvParams, DenseParams

Shape = tuple[int, int, int]  # channels, height, width

_ACTIVATIONS: dict[str, list[type[nn.Module]]] = {
    "none": [],
    "relu": [nn.ReLU],
    "tanh": [nn.Tanh],
    "sigmoid": [nn.Sigmoid],
}


def conv_network(params: ConvParams, shape: Shape, n_out: int) -> nn.Sequential:
    """N images of `shape` to N x `n_out`: convolutions, then the layers of `dense_network`.

    A convolution is followed by batch normalization, activation and pooling, as far as they
    are wanted. The initial weights are torch's default.

    Raises:
        Infeasible: a layer does not fit its input; names the layer and the sizes.
    """
    layers: list[nn.Module] = [] if params.pixel_scale == 1 else [Scale(params.pixel_scale)]
    channels, *size = shape
    filters = per_layer("n_filters", params.n_filters, params.n_conv)
    kernels = per_layer("kernel", params.kernel, params.n_conv)
    for i, (n, kernel) in enumerate(zip(filters, kernels, strict=True), 1):
        name = f"conv layer {i}"
        padding = params.padding
        if padding == "same":
            if params.stride != 1:
                raise Infeasible(f'{name}: padding "same" needs stride 1, not {params.stride}')
            padding = kernel // 2
            if kernel % 2 == 0:  # torch's own "same" would warn of the copy that this makes
                layers.append(nn.ZeroPad2d((padding - 1, padding, padding - 1, padding)))
                padding = 0
        else:
            wide = [side + 2 * padding for side in size]
            _must_fit(f"{name}: a kernel", kernel, wide, f"{_by(size)}, padded by {padding}", shape)
            size = [(side - kernel) // params.stride + 1 for side in wide]
        layers.append(nn.Conv2d(channels, n, kernel, params.stride, padding))
        if params.batch_norm_conv:
            layers.append(BatchNorm(n))
        activation = _activation(params)
        pooling: list[nn.Module] = []
        if params.pool != "none" and (params.pool_last or i < params.n_conv):
            _must_fit(f"pooling after {name}: a window", params.pool_size, size, _by(size), shape)
            size = [side // params.pool_size for side in size]
            pool = nn.MaxPool2d if params.pool == "max" else nn.AvgPool2d
            pooling = [pool(params.pool_size)]
        # All activations are monotone: they commute with the maximum. Pooled first, a quarter is
        # left to do, which is 3 per cent of a step.
        layers += pooling + activation if params.pool == "max" else activation + pooling
        channels = n
    return nn.Sequential(*layers, *dense_network(params, channels * size[0] * size[1], n_out))


def dense_network(params: DenseParams, n_in: int, n_out: int) -> nn.Sequential:
    """N inputs of `n_in` numbers each, in any shape, to N x `n_out`.

    A hidden layer is followed by batch normalization and activation, and each dense layer,
    also the last, is preceded by dropout, as far as they are wanted. The initial weights are
    torch's default.

    Raises:
        Infeasible: `width` is a list of fewer than `n_fc`.
    """
    layers: list[nn.Module] = [*_dropout(params), nn.Flatten()]
    for width in per_layer("width", params.width, params.n_fc):
        layers.append(nn.Linear(n_in, width))
        if params.batch_norm_fc:
            layers.append(BatchNorm(width))
        layers += _activation(params)
        layers += _dropout(params)
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, n_out))


def glorot(model: nn.Module) -> None:
    """Draw all weights anew, uniform as Glorot & Bengio (2010, eq. 16) say; zero the biases."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


class Scale(nn.Module):
    """Its input times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def forward(self, input: Tensor) -> Tensor:
        return input * self._factor


class SideBySide(nn.Module):
    """Several networks on the same input; their outputs in a row."""

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([network(inputs) for network in self.networks], 1)


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014), which takes 16 random bits for each unit on a CPU.

    torch draws a number of 53 bits for each (but on Intel's CPUs), which takes seven times as
    long: 3 to 8 per cent of a step of the lab's network. The probability is rounded to 1/65,536,
    and what is kept is scaled for the rounded one.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        n = input.numel()
        dropped = min(round(self.p * 2**16), 2**16 - 1)  # of all numbers of 16 bits
        bits = torch.empty((n + 3) // 4, dtype=torch.int64)
        bits.random_(-(2**63), None)
        keep = torch.empty_like(input)
        torch.ge(bits.view(torch.int16)[:n].view(input.shape), dropped - 2**15, out=keep)
        return input * keep.mul_(2**16 / (2**16 - dropped))


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization (Ioffe & Szegedy 2015) of N x channels, or N x channels x H x W.

    A single value per channel has no spread, and torch refuses it. The last batch of an
    epoch can be that small, so it is normalized by the running statistics.
    """

    def forward(self, input: Tensor) -> Tensor:
        training = self.training and input.numel() > self.num_features
        statistics = self.running_mean, self.running_var, self.weight, self.bias
        return batch_norm(input, *statistics, training=training, eps=self.eps)


def per_layer(name: str, given: int | str, n: int) -> list[int]:
    """One number for each of `n` layers: `per_layer("n_filters", "16-32-128", 2)` is [16, 32].

    Raises:
        Infeasible: they are too few.
    """
    numbers = [int(number) for number in str(given).split("-")]
    if len(numbers) == 1:
        return numbers * n
    if len(numbers) < n:
        raise Infeasible(
            f"{name} {given!r} has {len(numbers)} numbers, for {n} layers: give one for all of "
            "them, or one for each"
        )
    return numbers[:n]


def _activation(params: DenseParams) -> list[nn.Module]:
    return [make() for make in _ACTIVATIONS[params.activation]]


def _dropout(params: DenseParams) -> list[nn.Module]:
    return [Dropout(params.dropout)] if params.dropout else []


def _must_fit(what: str, side: int, size: list[int], shown: str, shape: Shape) -> None:
    if side > min(size):
        raise Infeasible(
            f"{what} of {side}x{side} does not fit its input of {shown} (the images are "
            f"{_by(list(shape[1:]))}): make it smaller, pad more, or use fewer layers"
        )


def _by(size: list[int]) -> str:
    return "x".join(map(str, size))
