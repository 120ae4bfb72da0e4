# SPDX-License-Identifier: Apache-2.0
"""interrupt.py SIGNAL COMMAND...: runs a command with a terminal as its standard error, sends it the signal once it shows
the progress of calibration, and says how it ended."""
import os
import pty
import signal
import subprocess
import sys

number = signal.Signals["SIG" + sys.argv[1]]
leader, follower = pty.openpty()
process = subprocess.Popen(sys.argv[2:], stderr=follower)
os.close(follower)
seen, sent = b"", False
while True:
    try:
        chunk = os.read(leader, 4096)
    except OSError:  # Linux' way to say that the other side is closed
        break
    seen += chunk
    if not sent and b"calibrating" in seen:
        # Stopped first: then the signal meets it in the midst of its work however slow this process is.
        process.send_signal(signal.SIGSTOP)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        sent = True
status = process.wait()
print(f"sent {number.name}," if sent else "sent nothing,", f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}")
