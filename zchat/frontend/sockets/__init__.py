"""Client connections: accepted, upgraded, read, written to and closed, over TCP and WebSocket.

listen         listening sockets
acceptor       the door: one port for all transports, with TLS or without
descriptors    how many clients one process has file descriptors for
addresses      where clients come from, and which are not let in
arrival        from an accepted socket to its first bytes
tls            sockets that encrypt and otherwise behave as plain ones
plain_request  the usual HTTP request, read at one go
upgrade        from an HTTP request to a WebSocket
connections    what all of them share, and how all are told to go
connection     one, whatever its transport
tcp            one over TCP
websocket      one over WebSocket
frames         WebSocket frames as bytes
rate           a token bucket that needs one number per client
outbox         the way out: all that a loop turn has for one client in one `send`
disconnect     why a connection ends, as data
"""
