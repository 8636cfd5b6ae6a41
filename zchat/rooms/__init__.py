"""What must not be lost: order, history, members and their owner. No sockets and no event loop."""
