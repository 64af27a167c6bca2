"""ICC profiles generated on the spot, as small as ICC.1 allows."""

import struct

# The primaries as columns of XYZ under D50, and the curve: what a profile of the name contains.
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE_GAMMA = 563 / 256
_D50 = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def rgb_profile(primaries, gamma=None) -> bytes:
    """Return an RGB profile; its curve is a power, or sRGB's."""
    tags = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    return _profile(b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def gray_profile(gamma) -> bytes:
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile(lab_of) -> bytes:
    """Return a CMYK profile: ``lab_of`` gives the colour of each of the 16 mixtures of full or no C, M, Y, K."""
    straight = bytes(range(256))
    corners = [[n >> bit & 1 for bit in (3, 2, 1, 0)] for n in range(16)]
    table = b"".join(
        bytes((round(2.55 * light), a + 128, b + 128)) for light, a, b in (lab_of(*c) for c in corners)
    )
    matrix = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + straight * 4 + table + straight * 3
    return _profile(b"CMYK", b"Lab ", {b"A2B0": lut}, kind=b"prtr")


def _profile(space, connection, tags, kind=b"mntr") -> bytes:
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78), b"wtpt": _xyz(_D50)} | tags
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI", at + len(body), 0x02400000) + kind + space + connection + bytes(12) + b"acsp"
    head = (head + bytes(28) + b"".join(_fixed(value) for value in _D50)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def _xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in values)


def _curve(gamma) -> bytes:
    if gamma is None:
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(_fixed(value) for value in _SRGB_CURVE)
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _fixed(value) -> bytes:
    return struct.pack(">i", round(value * 65536))
