# SPDX-License-Identifier: Apache-2.0
"""Runs a command with a terminal of 80 columns as its standard error and shows what the terminal got, with \\e for escape
and \\r for a return that no line end follows. Standard output passes through."""
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

leader, follower = pty.openpty()
fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
process = subprocess.Popen(sys.argv[1:], stderr=follower)
os.close(follower)
seen = b""
while True:
    try:
        chunk = os.read(leader, 4096)
    except OSError:  # Linux' way to say that the other side is closed
        break
    if not chunk:
        break
    seen += chunk
status = process.wait()
sys.stdout.write(seen.decode().replace("\r\n", "\n").replace("\x1b", "\\e").replace("\r", "\\r"))
sys.exit(status)
