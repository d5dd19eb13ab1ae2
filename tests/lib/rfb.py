# SPDX-License-Identifier: Apache-2.0
"""A VNC client for tests (RFC 6143): pictures by any of the server's encodings, keys, pointers."""

import socket
import struct
import zlib

RAW, HEXTILE, TIGHT, ZRLE = 0, 5, 7, 16
DESKTOP_SIZE = -223
X509_NONE = 260


class Rfb:
    def __init__(self, port, encoding=RAW, timeout=20, tls=None):
        """tls: an ssl.SSLContext, for servers that ask for VeNCrypt with certificates."""
        self.socket = socket.create_connection(('127.0.0.1', port), timeout)
        self.inflate = {}
        assert self.take(12) == b'RFB 003.008\n'
        self.socket.sendall(b'RFB 003.008\n')
        kinds = self.take(self.take(1)[0])
        if tls:
            assert kinds == b'\x13', f'security types {kinds!r}'
            self.socket.sendall(b'\x13')
            assert self.take(2) == b'\0\2'
            self.socket.sendall(b'\0\2')
            assert self.take(6) == b'\0\1' + struct.pack('>I', X509_NONE)
            self.socket.sendall(struct.pack('>I', X509_NONE))
            assert self.take(1) == b'\1'
            self.socket = tls.wrap_socket(self.socket, server_hostname='localhost')
        else:
            assert kinds == b'\x01', f'security types {kinds!r}'
            self.socket.sendall(b'\x01')
        assert self.take(4) == b'\0\0\0\0'
        self.socket.sendall(b'\x01')
        self.width, self.height = struct.unpack('>HH', self.take(4))
        self.take(16)
        self.name = self.take(struct.unpack('>I', self.take(4))[0]).decode()
        self.pixels = {}
        self.socket.sendall(struct.pack('>BxHii', 2, 2, encoding, DESKTOP_SIZE))

    def take(self, n):
        data = b''
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            assert more, 'the server has closed the connection'
            data += more
        return data

    def close(self):
        self.socket.close()

    # ---- pictures ----

    def update(self, incremental=False):
        """Asks for what is new and takes it in."""
        self.socket.sendall(struct.pack('>BBHHHH', 3, incremental, 0, 0, self.width, self.height))
        kind, rects = struct.unpack('>BxH', self.take(4))
        assert kind == 0, f'message {kind}'
        for _ in range(rects):
            x, y, width, height, encoding = struct.unpack('>HHHHi', self.take(12))
            if encoding == DESKTOP_SIZE:
                self.width, self.height, self.pixels = width, height, {}
            elif width and height:
                {RAW: self.raw, HEXTILE: self.hextile, TIGHT: self.tight,
                 ZRLE: self.zrle}[encoding](x, y, width, height)

    def place(self, x, y, width, colours):
        for i, colour in enumerate(colours):
            self.pixels[x + i % width, y + i // width] = colour

    def fill(self, x, y, width, height, colour):
        self.place(x, y, width, [colour] * (width * height))

    @staticmethod
    def native(data):
        return [v & 0xffffff for v in struct.unpack(f'<{len(data) // 4}I', data)]

    def raw(self, x, y, width, height):
        self.place(x, y, width, self.native(self.take(4 * width * height)))

    def hextile(self, x, y, width, height):
        back = front = 0
        for ty in range(y, y + height, 16):
            for tx in range(x, x + width, 16):
                w, h = min(16, x + width - tx), min(16, y + height - ty)
                mask = self.take(1)[0]
                if mask & 1:
                    self.raw(tx, ty, w, h)
                    continue
                if mask & 2:
                    back = self.native(self.take(4))[0]
                if mask & 4:
                    front = self.native(self.take(4))[0]
                self.fill(tx, ty, w, h, back)
                for _ in range(self.take(1)[0] if mask & 8 else 0):
                    colour = self.native(self.take(4))[0] if mask & 16 else front
                    xy, wh = self.take(2)
                    self.fill(tx + (xy >> 4), ty + (xy & 15), (wh >> 4) + 1, (wh & 15) + 1, colour)

    def unpack(self, stream, data):
        return self.inflate.setdefault(stream, zlib.decompressobj()).decompress(data)

    @staticmethod
    def compact(data):
        """Three bytes: blue, green, red."""
        return [data[i] | data[i + 1] << 8 | data[i + 2] << 16 for i in range(0, len(data), 3)]

    def zrle(self, x, y, width, height):
        data = self.unpack('zrle', self.take(struct.unpack('>I', self.take(4))[0]))
        at = 0
        for ty in range(y, y + height, 64):
            for tx in range(x, x + width, 64):
                w, h = min(64, x + width - tx), min(64, y + height - ty)
                kind, at = data[at], at + 1
                if kind == 0:
                    colours = self.compact(data[at:at + 3 * w * h])
                    at += 3 * w * h
                elif kind == 1:
                    colours = self.compact(data[at:at + 3]) * (w * h)
                    at += 3
                elif kind <= 16:
                    palette = self.compact(data[at:at + 3 * kind])
                    at += 3 * kind
                    bits = 1 if kind == 2 else 2 if kind <= 4 else 4
                    colours = []
                    for _ in range(h):
                        line = data[at:at + (w * bits + 7) // 8]
                        at += len(line)
                        colours += [palette[line[i * bits // 8] >> (8 - bits - i * bits % 8)
                                            & (1 << bits) - 1] for i in range(w)]
                else:
                    assert kind == 128, f'ZRLE sub-encoding {kind}'
                    colours = []
                    while len(colours) < w * h:
                        colour, at, run = self.compact(data[at:at + 3])[0], at + 3, 1
                        while data[at] == 255:
                            run, at = run + 255, at + 1
                        run, at = run + data[at], at + 1
                        colours += [colour] * run
                self.place(tx, ty, w, colours)

    def tight(self, x, y, width, height):
        def rgb(data):
            return [data[i] << 16 | data[i + 1] << 8 | data[i + 2] for i in range(0, len(data), 3)]

        def data(stream, n):
            if n < 12:
                return self.take(n)
            length = shift = 0
            while True:
                byte = self.take(1)[0]
                length |= (byte if shift == 14 else byte & 0x7f) << shift
                shift += 7
                if shift == 21 or not byte & 0x80:
                    return self.unpack(stream, self.take(length))

        kind = self.take(1)[0]
        if kind == 0x80:
            self.fill(x, y, width, height, rgb(self.take(3))[0])
        elif kind & 0x40:
            assert self.take(1)[0] == 1, 'filter'
            palette = rgb(self.take(3 * (self.take(1)[0] + 1)))
            if len(palette) > 2:
                colours = [palette[i] for i in data(kind >> 4 & 3, width * height)]
            else:
                pitch = (width + 7) // 8
                bits = data(kind >> 4 & 3, pitch * height)
                colours = [palette[bits[j * pitch + i // 8] >> (7 - i % 8) & 1]
                           for j in range(height) for i in range(width)]
            self.place(x, y, width, colours)
        else:
            self.place(x, y, width, rgb(data(kind >> 4 & 3, 3 * width * height)))

    # ---- input ----

    def key(self, keysym):
        for down in (1, 0):
            self.socket.sendall(struct.pack('>BBxxI', 4, down, keysym))

    def pointer(self, x, y, buttons=0):
        self.socket.sendall(struct.pack('>BBHH', 5, buttons, x, y))
