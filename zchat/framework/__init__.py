"""What an application author meets: the application, its handlers, remotes and channels.

Six packages, each imports only itself and those above it in this list.

peers/     server to server: who the others are, and calls of what they offer
sessions/  from a client's handshake to its session, and all sessions from any server
channels/  rooms: the worker that owns one, how it comes to own it, and the verbs for it anywhere
handlers/  a client's request at the server that answers it, and what stands around that
app/       what an author says, once for all servers
server/    one server at work: all of it tied, started, watched and stopped
"""
