# SPDX-License-Identifier: Apache-2.0
"""The first samples of the bundled digits in every form that data come in. Python's standard library and NumPy."""
import os
import struct
import zlib

import numpy

COUNT, MEAN, DEVIATION = 20, 0.1307, 0.3081


def png(pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


samples = numpy.load("models/mnist_resnet/calib.npz")["input"][:COUNT]
pixels = numpy.rint((samples[:, 0, 0] * DEVIATION + MEAN) * 255).astype("uint8")
samples = ((pixels / 255 - MEAN) / DEVIATION).astype("float32")[:, None, None]
numpy.savez("data.npz", input=samples)
samples.tofile("data.raw")
with open("data.csv", "w", encoding="ascii") as file:
    file.writelines(",".join(repr(float(x)) for x in sample.ravel()) + "\n" for sample in samples)
os.mkdir("images")
for i, picture in enumerate(pixels):
    with open(f"images/{i:02}.png", "wb") as file:
        file.write(png(picture))
