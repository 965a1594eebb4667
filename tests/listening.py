"""An address of this machine at which something listens, for forms that look whether it does."""

from __future__ import annotations

import atexit
import socket

_LISTENING = socket.create_server(("127.0.0.1", 0), backlog=1024)
atexit.register(_LISTENING.close)
HERE = f"http://127.0.0.1:{_LISTENING.getsockname()[1]}"
