"""The student's depthwise convolution: depthwise.cpp where a C++ compiler makes it for this CPU, else PyTorch's own, which is several times slower."""
import ctypes, os, subprocess, sys, tempfile
import torch, torch.nn as nn, torch.nn.functional as F

KERNEL, LANES = 7, 16


def compiled():
    """The library, or nothing."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "depthwise.cpp")
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "depthwise.so")
        command = ["g++", "-O3", "-march=native", "-mprefer-vector-width=512", "-fopenmp", "-shared", "-fPIC", source, "-o", library]
        try:
            subprocess.run(command, check=True, capture_output=True)
            return ctypes.CDLL(library)
        except (OSError, subprocess.CalledProcessError):
            print("no C++ compiler that makes depthwise.cpp: training will be slower", file=sys.stderr)


library = None if torch.cuda.is_available() else compiled()


class Function(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight):
        x = x.contiguous(memory_format=torch.channels_last)
        w = weight.detach().float().flatten(1).t().contiguous()
        context.save_for_backward(x, w)
        out = torch.empty_like(x)
        n, c, h, width = x.shape
        library.forward(*pointers(x, w, out), n, h, width, c)
        return out

    @staticmethod
    def backward(context, gradient):
        x, w = context.saved_tensors
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        n, c, h, width = x.shape
        of_x, of_w = torch.empty_like(x), torch.empty(n, c // LANES, KERNEL * KERNEL, LANES)
        library.backward(*pointers(x, w, gradient, of_x, of_w), n, h, width, c)
        return of_x, of_w.sum(0).permute(0, 2, 1).reshape(c, 1, KERNEL, KERNEL)


def pointers(*tensors):
    return [ctypes.c_void_p(t.data_ptr()) for t in tensors]


class Depthwise(nn.Conv2d):
    """7 x 7, zero padded, without bias."""

    def __init__(self, channels):
        super().__init__(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels, bias=False)

    def forward(self, x):
        fast = library and x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and self.in_channels % LANES == 0
        return Function.apply(x.bfloat16(), self.weight) if fast else super().forward(x)


if __name__ == "__main__":
    # Against PyTorch's own, in f32, on odd shapes.
    torch.manual_seed(0)
    for c, h, w in ((16, 1, 1), (48, 9, 13), (96, 24, 7), (224, 12, 16)):
        conv = Depthwise(c); x = torch.randn(3, c, h, w).bfloat16(); g = torch.randn(3, c, h, w).bfloat16(); worst = []
        for fast in (False, True):
            conv.zero_grad(); a = (x if fast else x.float()).contiguous(memory_format=torch.channels_last).requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
                y = conv(a)
            y.backward(g if fast else g.float()); worst.append((y.detach().float(), a.grad.float(), conv.weight.grad.clone()))
        errors = [float((p - q).abs().max() / p.abs().max()) for p, q in zip(*worst)]
        print(f"{c} x {h} x {w}: largest errors of output, its gradient, the weights' {', '.join(f'{e:.1e}' for e in errors)}, of the largest value")
        assert max(errors[:2]) < 2 ** -8 and errors[2] < 1e-5
